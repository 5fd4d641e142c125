//! Secrets that cannot be empty and do not print themselves.

use std::fmt;

/// A password or token.
///
/// INVARIANT: not empty (an empty password has disabled authentication elsewhere, CVE-2011-0011).
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// There was nothing in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmptySecret;

impl Secret {
    /// Takes a secret that is not empty.
    pub fn new(value: impl Into<String>) -> Result<Self, EmptySecret> {
        let value = value.into();
        if value.is_empty() {
            return Err(EmptySecret);
        }
        Ok(Self(value))
    }

    /// The secret itself, for the few places that need it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// A secret that is written as hexadecimal digits: a cookie.
///
/// INVARIANT: not empty.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Vec<u8>);

impl Key {
    /// Takes an even number of digits, but not none.
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits: Option<Vec<u8>> = text
            .chars()
            .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect();
        let (pairs, rest) = digits.as_ref()?.as_chunks();
        let bytes: Vec<u8> = pairs.iter().map(|[high, low]| high << 4 | low).collect();
        (rest.is_empty() && !bytes.is_empty()).then_some(Self(bytes))
    }

    /// As it was written.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The key itself, for the few places that need it.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(hidden)")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_whole_bytes() {
        let key = Key::from_hex("00fFa5").unwrap();
        assert_eq!(key.expose(), [0, 0xff, 0xa5]);
        assert_eq!(key.hex(), "00ffa5");
        assert_eq!(format!("{key:?}"), "Key(hidden)");
        for bad in ["", "abc", "0x10", "a b0", "gg", "é"] {
            assert_eq!(Key::from_hex(bad), None, "{bad}");
        }
    }
}
