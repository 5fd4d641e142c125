//! A secret that cannot be empty and does not print itself.

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

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}
