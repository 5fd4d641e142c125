//! ProtocolVersion (RFC 6143, 7.1.1): twelve bytes, `RFB 003.008\n`.

use std::fmt;

/// What the server says first: the highest version that it speaks.
pub const GREETING: [u8; 12] = *b"RFB 003.008\n";

/// The three versions that exist; every other number means one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// The server decides on the security type; also what 3.5 and other odd numbers below 3.7 mean.
    V3_3,
    /// The client chooses; failures carry no reason.
    V3_7,
    /// Failures carry a reason, and None is answered by a result too. Apple's 3.889 means this.
    V3_8,
}

/// Why twelve bytes are no version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionError {
    /// They do not begin with `RFB `: the client speaks another protocol.
    NotRfb,
    /// They begin well and go on badly.
    Malformed,
    /// A version below 3.3.
    TooOld,
}

impl fmt::Display for VersionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotRfb => {
                "the client does not speak RFB (is it a browser? it belongs on the web port)"
            }
            Self::Malformed => "the client's protocol version is malformed",
            Self::TooOld => "the client's protocol version is below 3.3",
        })
    }
}

impl std::error::Error for VersionError {}

impl Version {
    /// Reads the client's answer to the greeting.
    pub fn parse(bytes: &[u8; 12]) -> Result<Self, VersionError> {
        if !bytes.starts_with(b"RFB ") {
            return Err(VersionError::NotRfb);
        }
        if bytes[7] != b'.' || bytes[11] != b'\n' {
            return Err(VersionError::Malformed);
        }
        let number = |digits: &[u8]| {
            digits.iter().try_fold(0u32, |n, d| {
                d.is_ascii_digit().then(|| n * 10 + u32::from(d - b'0'))
            })
        };
        let (Some(major), Some(minor)) = (number(&bytes[4..7]), number(&bytes[8..11])) else {
            return Err(VersionError::Malformed);
        };
        match (major, minor) {
            (0..=2, _) | (3, 0..=2) => Err(VersionError::TooOld),
            (3, 3..=6) => Ok(Self::V3_3),
            (3, 7) => Ok(Self::V3_7),
            // RealVNC's 4.x and 5.x and Apple's 3.889 all know what 3.8 is.
            _ => Ok(Self::V3_8),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V3_3 => "3.3",
            Self::V3_7 => "3.7",
            Self::V3_8 => "3.8",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn odd_numbers_mean_one_of_three() {
        let of = |text: &[u8; 12]| Version::parse(text);
        assert_eq!(of(b"RFB 003.003\n"), Ok(Version::V3_3));
        assert_eq!(of(b"RFB 003.005\n"), Ok(Version::V3_3));
        assert_eq!(of(b"RFB 003.007\n"), Ok(Version::V3_7));
        assert_eq!(of(&GREETING), Ok(Version::V3_8));
        assert_eq!(of(b"RFB 003.889\n"), Ok(Version::V3_8));
        assert_eq!(of(b"RFB 005.000\n"), Ok(Version::V3_8));
        assert_eq!(of(b"RFB 002.002\n"), Err(VersionError::TooOld));
        assert_eq!(of(b"RFB 003.00x\n"), Err(VersionError::Malformed));
        assert_eq!(of(b"RFB 003.008 "), Err(VersionError::Malformed));
        assert_eq!(of(b"GET / HTTP/1"), Err(VersionError::NotRfb));
    }

    proptest! {
        #[test]
        fn no_twelve_bytes_are_harmful(bytes: [u8; 12]) {
            let _ = Version::parse(&bytes);
        }
    }
}
