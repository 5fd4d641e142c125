//! Who may come in, and VNC authentication (RFC 6143, 7.2.2).
//!
//! The server sends 16 random bytes; the client encrypts them by DES with the password as the key and sends them back.
//! Two peculiarities that every implementation shares: the bits of each key byte are reversed, and only the first eight
//! characters count.

use std::fmt;

use des::Des;
use des::cipher::{BlockCipherEncrypt, KeyInit};
use subtle::{Choice, ConstantTimeEq};

/// A password: never empty (CVE-2011-0011), never printed.
///
/// INVARIANT: at least one byte, no NUL byte (VNC authentication pads with NUL, so `"\0…"` would be as good as empty).
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<[u8]>);

/// Why something is no password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretError {
    /// Nothing at all.
    Empty,
    /// A NUL byte in it.
    Nul,
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the password is empty",
            Self::Nul => "the password holds a NUL byte",
        })
    }
}

impl std::error::Error for SecretError {}

impl Secret {
    /// Checks and keeps a password.
    pub fn new(bytes: impl Into<Box<[u8]>>) -> Result<Self, SecretError> {
        let bytes = bytes.into();
        match (bytes.is_empty(), bytes.contains(&0)) {
            (true, _) => Err(SecretError::Empty),
            (_, true) => Err(SecretError::Nul),
            _ => Ok(Self(bytes)),
        }
    }

    /// The password itself, for mechanisms that use all of it.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// True when VNC authentication ignores part of it: a thing to warn the operator of.
    pub fn is_cut_by_vnc_auth(&self) -> bool {
        self.0.len() > 8
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What a client may do once it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Permission {
    /// Watch and act.
    Full,
    /// Watch: no keys, pointer, clipboard towards the desktop, nor resize.
    ViewOnly,
}

/// What the operator wants of clients.
#[derive(Clone, Debug, Default)]
pub struct AuthPolicy {
    /// The password that lets in.
    pub password: Option<Secret>,
    /// A second one that lets in to watch only.
    pub view_only_password: Option<Secret>,
    /// Security type None is offered, and nothing else: the operator said so, or the channel is authenticated already.
    pub none: bool,
    /// Whoever comes by `password` or by None only watches.
    pub view_only: bool,
}

impl AuthPolicy {
    /// What the main way in permits.
    pub fn main_permission(&self) -> Permission {
        if self.view_only {
            Permission::ViewOnly
        } else {
            Permission::Full
        }
    }

    /// Checks an answer to a challenge. Both passwords are always computed and compared, in constant time, so that the
    /// time taken tells neither which of them exist nor how much of one was right.
    pub fn check_vnc_auth(&self, challenge: &[u8; 16], response: &[u8; 16]) -> Option<Permission> {
        let matches = |secret: &Option<Secret>| {
            let bytes = secret.as_ref().map_or(&[][..], |s| s.as_bytes());
            let expected = vnc_auth_response(bytes, challenge);
            expected.ct_eq(response) & Choice::from(u8::from(secret.is_some()))
        };
        let (main, watcher) = (matches(&self.password), matches(&self.view_only_password));
        match (bool::from(main), bool::from(watcher)) {
            (true, _) => Some(self.main_permission()),
            (false, true) => Some(Permission::ViewOnly),
            (false, false) => None,
        }
    }
}

/// The DES key of a password: its first eight bytes, padded with NUL, each with its bits reversed.
fn vnc_auth_key(password: &[u8]) -> [u8; 8] {
    let mut key = [0; 8];
    for (k, p) in key.iter_mut().zip(password) {
        *k = p.reverse_bits();
    }
    key
}

/// What a client that knows `password` answers to `challenge`.
pub fn vnc_auth_response(password: &[u8], challenge: &[u8; 16]) -> [u8; 16] {
    let cipher = Des::new(&vnc_auth_key(password).into());
    let mut response = [0; 16];
    for (to, from) in response.chunks_exact_mut(8).zip(challenge.chunks_exact(8)) {
        let mut block = [0; 8];
        block.copy_from_slice(from);
        let mut block = block.into();
        cipher.encrypt_block(&mut block);
        to.copy_from_slice(&block);
    }
    response
}

/// A password as files hold it: enciphered by a key that everybody knows, so that nobody reads it in passing.
pub fn obfuscated(password: &[u8]) -> [u8; 8] {
    const KEY: [u8; 8] = [23, 82, 107, 6, 35, 78, 88, 7];
    let cipher = Des::new(&vnc_auth_key(&KEY).into());
    let mut block = [0; 8];
    for (to, from) in block.iter_mut().zip(password) {
        *to = *from;
    }
    let mut block = block.into();
    cipher.encrypt_block(&mut block);
    block.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Option<Secret> {
        Secret::new(text.as_bytes()).ok()
    }

    /// What `vncpasswd` writes to its file is the password under a fixed key: a known answer from the field.
    #[test]
    fn known_answers() {
        let mut block = (*b"password").into();
        let fixed = [23, 82, 107, 6, 35, 78, 88, 7].map(u8::reverse_bits);
        Des::new(&fixed.into()).encrypt_block(&mut block);
        assert_eq!(block[..], [0xdb, 0xd8, 0x3c, 0xfd, 0x72, 0x7a, 0x14, 0x58]);
        assert_eq!(vnc_auth_key(b"a\x80"), [0x86, 0x01, 0, 0, 0, 0, 0, 0]);
        // The same through the whole function: the fixed key's bytes as a password, "password" as both challenge blocks.
        let response = vnc_auth_response(&[23, 82, 107, 6, 35, 78, 88, 7], b"passwordpassword");
        assert_eq!(response[..8], block[..]);
        assert_eq!(response[8..], block[..]);
    }

    #[test]
    fn eight_characters_count() {
        let challenge = [9; 16];
        let answer = |p: &str| vnc_auth_response(p.as_bytes(), &challenge);
        assert_eq!(answer("12345678"), answer("123456789"));
        assert_ne!(answer("12345678"), answer("1234567"));
        assert!(Secret::new(*b"123456789").is_ok_and(|s| s.is_cut_by_vnc_auth()));
    }

    #[test]
    fn no_empty_password_exists() {
        assert_eq!(Secret::new([]), Err(SecretError::Empty));
        assert_eq!(Secret::new(*b"\0secret"), Err(SecretError::Nul));
        assert_eq!(format!("{:?}", secret("canary")), "Some(Secret(…))");
    }

    #[test]
    fn each_password_has_its_permission() {
        let challenge = *b"0123456789abcdef";
        let policy = AuthPolicy {
            password: secret("main"),
            view_only_password: secret("watch"),
            ..AuthPolicy::default()
        };
        let check = |policy: &AuthPolicy, p: &str| {
            policy.check_vnc_auth(&challenge, &vnc_auth_response(p.as_bytes(), &challenge))
        };
        assert_eq!(check(&policy, "main"), Some(Permission::Full));
        assert_eq!(check(&policy, "watch"), Some(Permission::ViewOnly));
        assert_eq!(check(&policy, "other"), None);
        assert_eq!(check(&policy, ""), None);
        let watching = AuthPolicy {
            view_only: true,
            ..policy
        };
        assert_eq!(check(&watching, "main"), Some(Permission::ViewOnly));
        // Without any password even the answer to the empty one is wrong.
        assert_eq!(check(&AuthPolicy::default(), ""), None);
    }
}
