//! The files of the page: a table in the binary, written by `build.rs`.
//!
//! A name is either in the table or it is not found; nothing is ever opened. Files that deflate well are there twice,
//! as they are and compressed, each with its own entity tag (RFC 9110 §8.8.3).

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::header::{ACCEPT_ENCODING, IF_NONE_MATCH};

/// One file.
#[derive(Debug)]
pub struct Asset {
    /// Path it is served under.
    pub path: &'static str,
    /// Media type with its character set.
    pub content_type: &'static str,
    /// Hash of the content, without quotes.
    pub hash: &'static str,
    /// The content.
    pub plain: &'static [u8],
    /// The content compressed, where that is shorter.
    pub gzip: Option<&'static [u8]>,
}

/// What to send of an [`Asset`].
#[derive(Debug, PartialEq, Eq)]
pub struct Selected {
    /// The entity tag, quoted.
    pub etag: String,
    /// The body is compressed.
    pub gzip: bool,
    /// The body; `None` when the client has it already.
    pub body: Option<Bytes>,
}

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// Other names of the page that links in the world use.
const PAGE_ALIASES: [&str; 3] = ["/index.html", "/vnc.html", "/vnc_lite.html"];

/// The file that is served under `path`.
#[must_use]
pub fn find(path: &str) -> Option<&'static Asset> {
    let path = if PAGE_ALIASES.contains(&path) {
        "/"
    } else {
        path
    };
    FILES.iter().find(|asset| asset.path == path)
}

impl Asset {
    /// Chooses the form that the client takes, and nothing if it has that.
    #[must_use]
    pub fn select(&self, headers: &HeaderMap) -> Selected {
        let compressed = self.gzip.filter(|_| accepts_gzip(headers));
        let etag = format!(
            "\"{}{}\"",
            self.hash,
            if compressed.is_some() { "-gz" } else { "" }
        );
        let known = headers
            .get_all(IF_NONE_MATCH)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(|list| {
                list.split(',')
                    .map(str::trim)
                    .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
            });
        let body = (!known).then(|| Bytes::from_static(compressed.unwrap_or(self.plain)));
        Selected {
            etag,
            gzip: compressed.is_some(),
            body,
        }
    }
}

/// RFC 9110 §12.5.3: gzip is listed, by name or by `*`, with a weight above zero.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let mut any = false;
    for value in headers.get_all(ACCEPT_ENCODING) {
        let Ok(list) = value.to_str() else { continue };
        for item in list.split(',') {
            let mut parameters = item.split(';').map(str::trim);
            let coding = parameters.next().unwrap_or_default();
            let weight = parameters
                .find_map(|parameter| {
                    parameter
                        .strip_prefix("q=")
                        .or_else(|| parameter.strip_prefix("Q="))
                })
                .map_or(1.0, |text| text.parse::<f32>().unwrap_or(0.0));
            if coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip") {
                return weight > 0.0;
            }
            if coding == "*" {
                any = weight > 0.0;
            }
        }
    }
    any
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::{HeaderName, HeaderValue};

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(name, HeaderValue::from_str(value).unwrap());
        }
        map
    }

    #[test]
    fn the_page_is_whole() {
        for path in [
            "/",
            "/app.js",
            "/style.css",
            "/favicon.svg",
            "/licences.txt",
        ] {
            assert!(find(path).is_some(), "{path} is missing");
        }
        let licences = String::from_utf8_lossy(find("/licences.txt").unwrap().plain);
        assert!(licences.contains("Mozilla Public License Version 2.0"));
        assert!(licences.contains("Vitaly Puzrin"));
        // The policy allows no inline code: the page must not need any.
        let page = String::from_utf8_lossy(find("/").unwrap().plain);
        assert!(
            !page.contains("<style") && !page.contains(" style=") && !page.contains(" onclick=")
        );
        for asset in &FILES {
            if let Some(gzip) = asset.gzip {
                let mut plain = Vec::new();
                std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(gzip), &mut plain)
                    .unwrap();
                assert_eq!(plain, asset.plain, "{}", asset.path);
            }
        }
    }

    #[test]
    fn only_names_of_the_table_are_found() {
        assert!(find("/vnc.html").is_some());
        for path in [
            "",
            "app.js",
            "/app.js/",
            "//app.js",
            "/./app.js",
            "/../app.js",
            "/APP.JS",
            "/app.js%00",
            "/core",
        ] {
            assert!(find(path).is_none(), "{path}");
        }
    }

    #[test]
    fn encodings_are_negotiated() {
        for (accept, gzip) in [
            ("gzip", true),
            ("br, gzip;q=0.5", true),
            ("GZIP", true),
            ("*", true),
            ("gzip;q=0", false),
            ("gzip; q=0.000, *", false),
            ("br", false),
            ("identity", false),
            ("*;q=0", false),
        ] {
            assert_eq!(
                accepts_gzip(&headers(&[(ACCEPT_ENCODING, accept)])),
                gzip,
                "{accept}"
            );
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    #[test]
    fn what_the_client_has_is_not_sent_again() {
        let asset = find("/app.js").unwrap();
        let first = asset.select(&headers(&[(ACCEPT_ENCODING, "gzip")]));
        assert!(first.gzip && first.body.is_some());
        let again = asset.select(&headers(&[
            (ACCEPT_ENCODING, "gzip"),
            (IF_NONE_MATCH, &first.etag),
        ]));
        assert_eq!(again.body, None);
        let weak = format!("\"x\", W/{}", first.etag);
        assert_eq!(
            asset
                .select(&headers(&[
                    (ACCEPT_ENCODING, "gzip"),
                    (IF_NONE_MATCH, &weak)
                ]))
                .body,
            None
        );
        // The other form is another entity.
        assert!(
            asset
                .select(&headers(&[(IF_NONE_MATCH, &first.etag)]))
                .body
                .is_some()
        );
    }
}
