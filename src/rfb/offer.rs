//! Which security types a client may choose (RFC 6143, 7.1.2).
//!
//! What was offered and what may be accepted are one value: an [`Offer`] writes itself and is the only thing that can
//! turn a byte of the client's into an [`Accepted`] type. A choice outside of it cannot be expressed (CVE-2006-2369,
//! CVE-2024-42458).

use super::auth::AuthPolicy;

/// The security types that are served. Further ones (VeNCrypt, RA2, Tight) become further variants here and further
/// states in the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SecurityType {
    /// No authentication (1).
    None,
    /// VNC authentication (2).
    VncAuth,
}

impl SecurityType {
    /// Its number on the wire.
    pub const fn number(self) -> u8 {
        match self {
            Self::None => 1,
            Self::VncAuth => 2,
        }
    }
}

/// A type that was offered and chosen; made by an [`Offer`] alone.
#[derive(Debug, PartialEq, Eq)]
pub struct Accepted(SecurityType);

impl Accepted {
    /// Which one.
    pub const fn security_type(&self) -> SecurityType {
        self.0
    }
}

/// The types offered to one client, best first.
///
/// INVARIANT: between 1 and 255 types, none twice.
#[derive(Debug)]
pub struct Offer(Vec<SecurityType>);

impl Offer {
    /// What a policy offers; `None` when it lets nobody in.
    pub fn new(policy: &AuthPolicy) -> Option<Self> {
        if policy.none {
            return Some(Self(vec![SecurityType::None]));
        }
        (policy.password.is_some() || policy.view_only_password.is_some())
            .then(|| Self(vec![SecurityType::VncAuth]))
    }

    /// Writes the list (3.7 and later).
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(self.0.len() as u8);
        out.extend(self.0.iter().map(|t| t.number()));
    }

    /// Takes the client's choice (3.7 and later); the byte itself comes back when it was not offered.
    pub fn accept(self, choice: u8) -> Result<Accepted, u8> {
        let found = self.0.into_iter().find(|t| t.number() == choice);
        found.map(Accepted).ok_or(choice)
    }

    /// Decides instead of the client and writes the decision (3.3).
    pub fn dictate(self, out: &mut Vec<u8>) -> Accepted {
        // Both types exist in 3.3; a type that does not will have to be passed over here.
        let first = self.0.first().copied().unwrap_or(SecurityType::VncAuth);
        out.extend(u32::from(first.number()).to_be_bytes());
        Accepted(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rfb::auth::Secret;

    #[test]
    fn only_what_was_offered_is_accepted() {
        let policy = AuthPolicy {
            password: Secret::new(*b"x").ok(),
            ..AuthPolicy::default()
        };
        for choice in 0..=255u8 {
            let offer = Offer::new(&policy).unwrap();
            assert_eq!(offer.accept(choice).is_ok(), choice == 2, "{choice}");
        }
        assert!(Offer::new(&AuthPolicy::default()).is_none());
    }

    #[test]
    fn bytes() {
        let offer = || {
            Offer::new(&AuthPolicy {
                none: true,
                ..AuthPolicy::default()
            })
            .unwrap()
        };
        let mut out = Vec::new();
        offer().write(&mut out);
        assert_eq!(out, [1, 1]);
        out.clear();
        assert_eq!(
            offer().dictate(&mut out).security_type(),
            SecurityType::None
        );
        assert_eq!(out, [0, 0, 0, 1]);
    }
}
