//! Who gets in when the operator named no password: nobody without a token, which is made here and shown once.

use crate::config::{Config, Secret};
use std::io;

const LENGTH: usize = 32;
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Makes a token when nothing else keeps strangers out; returns it so that it can be shown once.
pub(super) fn ensure_password(config: &mut Config) -> io::Result<Option<Secret>> {
    if config.allow_no_auth || config.password.is_some() {
        return Ok(None);
    }
    let token = token()?;
    config.password = Some(token.clone());
    Ok(Some(token))
}

/// How to come in, for the one line that people look for. The fragment of an address never leaves the browser.
pub(super) fn how(
    config: &Config,
    token: Option<&Secret>,
    web: Option<&str>,
    vnc: Option<&str>,
) -> String {
    let mut ways = Vec::new();
    let fragment = token
        .map(|t| format!("#password={}", t.expose()))
        .unwrap_or_default();
    ways.extend(web.map(|address| format!("http://{address}/{fragment} in a browser")));
    ways.extend(vnc.map(|address| format!("{address} in a VNC viewer")));
    let login = match token {
        Some(token) => format!("the password is {}", token.expose()),
        None if config.allow_no_auth => "without a password".to_owned(),
        None => "with the password that was given".to_owned(),
    };
    if ways.is_empty() {
        return format!("viewers can connect; {login}");
    }
    format!("open {}; {login}", ways.join(" or "))
}

/// What to tell an operator who gave a password that RFB cuts; to be asked before a token is made, which is cut too but
/// is nobody's mistake.
pub(super) fn cut_warning(config: &Config) -> Option<&'static str> {
    config.password_is_cut().then_some(
        "VNC_PASSWORD (or VNC_VIEW_ONLY_PASSWORD) is longer than 8 characters: RFB's own authentication uses only the first 8",
    )
}

/// 32 letters and digits: 190 bits; RFB's own authentication uses the first 8 of them, 47 bits.
pub(super) fn token() -> io::Result<Secret> {
    let mut token = String::with_capacity(LENGTH);
    while token.len() < LENGTH {
        let mut bytes = [0; 64];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        // 62 does not divide 64: what lies beyond is thrown away, so that every character is as likely.
        let letters = bytes
            .iter()
            .filter_map(|b| ALPHABET.get(usize::from(b & 63)));
        token.extend(letters.map(|b| char::from(*b)));
    }
    token.truncate(LENGTH);
    Secret::new(token).map_err(|_| io::Error::other("an empty token"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_and_have_their_length() {
        let (a, b) = (token().unwrap(), token().unwrap());
        assert_ne!(a.expose(), b.expose());
        assert_eq!(a.expose().len(), LENGTH);
        assert!(a.expose().bytes().all(|c| c.is_ascii_alphanumeric()));
    }
}
