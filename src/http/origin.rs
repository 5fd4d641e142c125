//! Which pages may open the websocket, and under which names the site is called.
//!
//! A browser lets any page open a websocket to any address, and says in `Origin` (RFC 6454) which page it was. Ours is
//! the one whose origin equals the address that was called (`Host`); others need the operator's word. A client that
//! sends no `Origin` is no browser, and nobody can make it come here against its user's will.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use hyper::HeaderMap;
use hyper::header::{HOST, HeaderName, ORIGIN};

/// Where a page comes from: scheme, host and port (RFC 6454 §4). `null` is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    secure: bool,
    host: Host,
    port: u16,
}

/// The origins that may come besides the page's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins {
    any: bool,
    listed: Vec<Origin>,
}

/// An entry of a list of origins that is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadOrigin {
    /// The entry.
    pub given: String,
    /// What is wrong with it.
    pub error: OriginError,
}

impl fmt::Display for BadOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no origin: {}", self.given, self.error)
    }
}

impl std::error::Error for BadOrigin {}

impl Origins {
    /// Reads a list of origins; `*` among them is any.
    ///
    /// # Errors
    /// The first entry that is none.
    pub fn parse<S: AsRef<str>>(entries: &[S]) -> Result<Self, BadOrigin> {
        let mut origins = Self::default();
        for entry in entries.iter().map(AsRef::as_ref) {
            if entry == "*" {
                origins.any = true;
            } else {
                let bad = |error| BadOrigin {
                    given: entry.to_owned(),
                    error,
                };
                origins.listed.push(entry.parse().map_err(bad)?);
            }
        }
        Ok(origins)
    }

    fn contains(&self, origin: &Origin) -> bool {
        self.any || self.listed.contains(origin)
    }

    /// The list as a source list of a content security policy (CSP 3, 2.3.1): each entry after a space.
    pub(super) fn sources(&self) -> String {
        let listed = self.listed.iter().map(|origin| format!(" {origin}"));
        if self.any {
            " *".into()
        } else {
            listed.collect()
        }
    }
}

/// A host name or address, in lower case; an IPv6 address keeps its brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host(String);

/// Host and port as a `Host` header names them (RFC 9110 §7.2).
#[derive(Debug, Clone, PartialEq, Eq)]
struct Authority {
    host: Host,
    port: Option<u16>,
}

/// Why something is no origin or no host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OriginError {
    /// Not `http://` or `https://`.
    Scheme,
    /// Not a host name or an address.
    Host,
    /// Not a port number.
    Port,
}

impl fmt::Display for OriginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "an origin starts with http:// or https://",
            Self::Host => "after the scheme an origin has a host name or an address, and no path",
            Self::Port => "a port is a number from 1 to 65535",
        })
    }
}

impl std::error::Error for OriginError {}

impl FromStr for Host {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let valid = match text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            Some(address) => address.parse::<Ipv6Addr>().is_ok(),
            None => {
                (1..=253).contains(&text.len())
                    && text
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
            }
        };
        if valid {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(OriginError::Host)
        }
    }
}

impl Host {
    /// True for what no name server is asked for.
    fn is_literal(&self) -> bool {
        self.0 == "localhost" || self.0.starts_with('[') || self.0.parse::<Ipv4Addr>().is_ok()
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Authority {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        // The colon that separates a port stands behind the bracket of an IPv6 address.
        let host_end = text.rfind(']').map_or(0, |at| at + 1);
        let (host, port) = match text[host_end..].find(':') {
            Some(colon) => {
                let digits = &text[host_end + colon + 1..];
                if digits.is_empty()
                    || digits.len() > 5
                    || !digits.bytes().all(|b| b.is_ascii_digit())
                {
                    return Err(OriginError::Port);
                }
                let port = digits
                    .parse::<u16>()
                    .ok()
                    .filter(|port| *port != 0)
                    .ok_or(OriginError::Port)?;
                (&text[..host_end + colon], Some(port))
            }
            None => (text, None),
        };
        Ok(Self {
            host: host.parse()?,
            port,
        })
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let (scheme, rest) = text.split_once("://").ok_or(OriginError::Scheme)?;
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(OriginError::Scheme),
        };
        let authority: Authority = rest.parse()?;
        let port = authority.port.unwrap_or(if secure { 443 } else { 80 });
        Ok(Self {
            secure,
            host: authority.host,
            port,
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        match (self.secure, self.port) {
            (true, 443) | (false, 80) => write!(f, "{scheme}://{}", self.host),
            (_, port) => write!(f, "{scheme}://{}:{port}", self.host),
        }
    }
}

impl Origin {
    /// Is this the page that was served under `authority`? A `Host` without a port means the default port of the
    /// scheme, which only the page's side knows when a proxy ends TLS in front of us.
    fn serves(&self, authority: &Authority) -> bool {
        let default = if self.secure { 443 } else { 80 };
        self.host == authority.host && self.port == authority.port.unwrap_or(default)
    }
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// `Host` is missing, there are two, or it is none.
    BadHost,
    /// The site is not called by this name.
    UnknownHost(String),
    /// The page's origin may not come here.
    Origin(String),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadHost => f.write_str("the request needs exactly one valid Host header"),
            Self::UnknownHost(host) => {
                write!(f, "the site is not called {host:?}; see ALLOWED_HOSTS")
            }
            Self::Origin(origin) => {
                write!(
                    f,
                    "pages of {origin:?} may not connect; see ALLOWED_ORIGINS"
                )
            }
        }
    }
}

/// Is the site called by one of its names?
///
/// # Errors
/// If it is not, or if there is no single name. A request may do without `Host` only in HTTP/1.0 (`required` false).
pub fn check_host(headers: &HeaderMap, allowed: &[Host], required: bool) -> Result<(), Refused> {
    let Some(host) = single(headers, &HOST).map_err(|Many| Refused::BadHost)? else {
        return if required {
            Err(Refused::BadHost)
        } else {
            Ok(())
        };
    };
    let authority: Authority = host.parse().map_err(|_| Refused::BadHost)?;
    if allowed.is_empty() || authority.host.is_literal() || allowed.contains(&authority.host) {
        Ok(())
    } else {
        Err(Refused::UnknownHost(authority.host.0))
    }
}

/// May the page that sent this request connect?
///
/// # Errors
/// If it comes from another origin than the one it calls and the operator did not list it.
pub fn check_origin(headers: &HeaderMap, allowed: &Origins) -> Result<(), Refused> {
    let Some(text) =
        single(headers, &ORIGIN).map_err(|Many| Refused::Origin("several origins".into()))?
    else {
        return Ok(());
    };
    let refuse = || Refused::Origin(text.chars().take(200).collect());
    let origin: Origin = text.parse().map_err(|_| refuse())?;
    if allowed.contains(&origin) {
        return Ok(());
    }
    let host = single(headers, &HOST)
        .ok()
        .flatten()
        .and_then(|host| host.parse::<Authority>().ok());
    match host {
        Some(authority) if origin.serves(&authority) => Ok(()),
        _ => Err(refuse()),
    }
}

/// More than one header of a name, or one that is no text.
struct Many;

fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, Many> {
    let mut values = headers.get_all(name).iter();
    let Some(first) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Many);
    }
    first.to_str().map(Some).map_err(|_| Many)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn headers(host: &str, origin: Option<&str>) -> HeaderMap {
        let mut map = HeaderMap::new();
        map.insert(HOST, HeaderValue::from_str(host).unwrap());
        if let Some(origin) = origin {
            map.insert(ORIGIN, HeaderValue::from_str(origin).unwrap());
        }
        map
    }

    #[test]
    fn pairs_of_host_and_origin() {
        let listed = Origins::parse(&["https://desk.example.org"]).unwrap();
        for (host, origin, expected) in [
            ("desk:5800", None, true),
            ("desk:5800", Some("http://desk:5800"), true),
            ("desk:5800", Some("https://desk:5800"), true),
            ("DESK:5800", Some("http://desk:5800"), true),
            ("desk:5800", Some("HTTP://Desk:5800"), true),
            ("desk", Some("http://desk"), true),
            ("desk", Some("http://desk:80"), true),
            ("desk:80", Some("http://desk"), true),
            ("desk", Some("https://desk"), true),
            ("[::1]:5800", Some("http://[::1]:5800"), true),
            ("127.0.0.1:5800", Some("http://127.0.0.1:5800"), true),
            ("inner:5800", Some("https://desk.example.org"), true),
            ("inner:5800", Some("https://desk.example.org:443"), true),
            ("inner:5800", Some("https://DESK.example.org"), true),
            ("desk:5800", Some("null"), false),
            ("desk:5800", Some(""), false),
            ("desk:5800", Some("desk:5800"), false),
            ("desk:5800", Some("http://desk:5801"), false),
            ("desk:5800", Some("http://desk"), false),
            ("desk:5800", Some("http://desk:5800.evil.org"), false),
            ("desk:5800", Some("http://desk.evil.org:5800"), false),
            ("desk:5800", Some("http://evildesk:5800"), false),
            ("desk:5800", Some("http://evil.org"), false),
            ("desk:5800", Some("http://desk:5800/"), false),
            ("desk:5800", Some("http://desk:5800@evil.org"), false),
            ("desk:5800", Some("http://evil.org#desk:5800"), false),
            ("desk:5800", Some("file://desk:5800"), false),
            ("desk:5800", Some("http://desk:"), false),
            ("desk:5800", Some("http://desk:05800000"), false),
            ("127.0.0.1:5800", Some("http://localhost:5800"), false),
            ("inner:5800", Some("http://desk.example.org"), false),
            ("inner:5800", Some("https://desk.example.org:444"), false),
            (
                "inner:5800",
                Some("https://desk.example.org.evil.org"),
                false,
            ),
            ("inner:5800", Some("https://xdesk.example.org"), false),
        ] {
            let result = check_origin(&headers(host, origin), &listed);
            assert_eq!(
                result.is_ok(),
                expected,
                "Host {host}, Origin {origin:?}: {result:?}"
            );
        }
    }

    #[test]
    fn a_star_is_any_origin_but_none_that_is_opaque() {
        let any = Origins::parse(&["*"]).unwrap();
        assert!(check_origin(&headers("desk", Some("https://evil.org")), &any).is_ok());
        assert!(check_origin(&headers("desk", Some("null")), &any).is_err());
        assert_eq!(any.sources(), " *");
        let two = Origins::parse(&["https://a", "http://b:81"]).unwrap();
        assert_eq!(two.sources(), " https://a http://b:81");
        assert_eq!(
            Origins::parse(&["https://a", "b"]).unwrap_err().to_string(),
            "\"b\" is no origin: an origin starts with http:// or https://"
        );
    }

    #[test]
    fn two_origins_are_refused() {
        let mut map = headers("desk", Some("http://desk"));
        map.append(ORIGIN, HeaderValue::from_static("http://desk"));
        assert!(check_origin(&map, &Origins::default()).is_err());
    }

    #[test]
    fn hosts_hold_against_a_list() {
        let listed: Vec<Host> = vec!["Desk.example.org".parse().unwrap()];
        for (host, expected) in [
            ("desk.example.org", true),
            ("desk.example.org:8443", true),
            ("DESK.EXAMPLE.ORG", true),
            ("127.0.0.1:5800", true),
            ("[fe80::1]", true),
            ("localhost:1", true),
            ("evil.org", false),
            ("desk.example.org.evil.org", false),
            ("127.0.0.1.evil.org", false),
            ("a b", false),
            ("x:0", false),
            ("x:70000", false),
            ("[::1", false),
            ("", false),
        ] {
            assert_eq!(
                check_host(&headers(host, None), &listed, true).is_ok(),
                expected,
                "{host}"
            );
        }
        assert!(check_host(&HeaderMap::new(), &[], true).is_err());
        assert!(check_host(&HeaderMap::new(), &[], false).is_ok());
        assert!(check_host(&headers("evil.org", None), &[], true).is_ok());
    }

    #[test]
    fn origins_are_shown_as_browsers_write_them() {
        for text in ["http://desk:5800", "https://desk", "https://[::1]:8443"] {
            assert_eq!(text.parse::<Origin>().unwrap().to_string(), text);
        }
        assert_eq!(
            "http://desk:80".parse::<Origin>().unwrap().to_string(),
            "http://desk"
        );
        assert_eq!("desk".parse::<Origin>(), Err(OriginError::Scheme));
        assert_eq!("http://desk/path".parse::<Origin>(), Err(OriginError::Host));
        assert_eq!("http://desk:x".parse::<Origin>(), Err(OriginError::Port));
    }
}
