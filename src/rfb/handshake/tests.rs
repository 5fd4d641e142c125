//! Every version, every choice, every way around.

use proptest::prelude::*;

use super::*;
use crate::rfb::auth::{Secret, vnc_auth_response};

const CHALLENGE: [u8; 16] = *b"0123456789abcdef";

fn policy(password: Option<&str>, view_only: Option<&str>, none: bool) -> Arc<AuthPolicy> {
    let secret = |text: &str| Secret::new(text.as_bytes()).unwrap();
    Arc::new(AuthPolicy {
        password: password.map(secret),
        view_only_password: view_only.map(secret),
        none,
        view_only: false,
    })
}

struct Peer {
    handshake: Handshake,
    input: InputBuffer,
    out: Vec<u8>,
}

impl Peer {
    fn new(policy: Arc<AuthPolicy>) -> Self {
        let mut peer = Self {
            handshake: Handshake::new(policy, CHALLENGE),
            input: InputBuffer::new(),
            out: Vec::new(),
        };
        peer.handshake.greeting(&mut peer.out);
        assert_eq!(peer.said(), b"RFB 003.008\n");
        peer
    }

    fn said(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// Says something, a byte at a time; the progress after the last byte, or the first that is not `More`.
    fn say(&mut self, bytes: &[u8]) -> Progress {
        for byte in bytes {
            assert_eq!(self.input.push(&[*byte]), 1);
            let progress = self.handshake.receive(&mut self.input, &mut self.out);
            if progress != Progress::More {
                return progress;
            }
        }
        Progress::More
    }
}

fn reason(text: &str) -> Vec<u8> {
    let mut bytes = (text.len() as u32).to_be_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes
}

fn done(version: Version, permission: Permission, shared: bool) -> Progress {
    Progress::Done(Authenticated {
        version,
        permission,
        shared,
    })
}

const VERSIONS: [(&[u8; 12], Version); 5] = [
    (b"RFB 003.003\n", Version::V3_3),
    (b"RFB 003.005\n", Version::V3_3),
    (b"RFB 003.007\n", Version::V3_7),
    (b"RFB 003.008\n", Version::V3_8),
    (b"RFB 003.889\n", Version::V3_8),
];

#[test]
fn passwords_in_every_version() {
    for (greeting, version) in VERSIONS {
        for (password, permission) in [
            ("main", Some(Permission::Full)),
            ("watch", Some(Permission::ViewOnly)),
            ("wrong", None),
        ] {
            let mut peer = Peer::new(policy(Some("main"), Some("watch"), false));
            assert_eq!(peer.say(greeting), Progress::More);
            if version == Version::V3_3 {
                assert_eq!(peer.said(), [&[0, 0, 0, 2][..], &CHALLENGE].concat());
            } else {
                assert_eq!(peer.said(), [1, 2]);
                assert_eq!(peer.say(&[2]), Progress::More);
                assert_eq!(peer.said(), CHALLENGE);
            }
            assert!(peer.handshake.waits_for_a_person());
            let progress = peer.say(&vnc_auth_response(password.as_bytes(), &CHALLENGE));
            match permission {
                Some(permission) => {
                    assert_eq!(progress, Progress::More);
                    assert_eq!(peer.said(), [0, 0, 0, 0]);
                    assert_eq!(peer.say(&[1]), done(version, permission, true));
                }
                None => {
                    assert_eq!(progress, Progress::Failed(HandshakeError::WrongPassword));
                    let mut expected = vec![0, 0, 0, 1];
                    if version == Version::V3_8 {
                        expected.extend(reason("Wrong password"));
                    }
                    assert_eq!(peer.said(), expected);
                    assert_eq!(peer.say(&[1]), Progress::Failed(HandshakeError::Over));
                }
            }
        }
    }
}

#[test]
fn none_in_every_version() {
    for (greeting, version) in VERSIONS {
        let mut peer = Peer::new(policy(None, None, true));
        assert_eq!(peer.say(greeting), Progress::More);
        if version == Version::V3_3 {
            assert_eq!(peer.said(), [0, 0, 0, 1]);
        } else {
            assert_eq!(peer.said(), [1, 1]);
            assert_eq!(peer.say(&[1]), Progress::More);
            let result: &[u8] = if version == Version::V3_8 {
                &[0; 4]
            } else {
                &[]
            };
            assert_eq!(peer.said(), result);
        }
        assert_eq!(peer.say(&[0]), done(version, Permission::Full, false));
    }
}

/// CVE-2006-2369, CVE-2024-42458: all 256 types against both offers, in the versions where clients choose.
#[test]
fn a_choice_outside_the_offer_never_leads_in() {
    for (greeting, version) in VERSIONS {
        if version == Version::V3_3 {
            continue;
        }
        for none in [false, true] {
            for choice in 0..=255u8 {
                let mut peer = Peer::new(policy(Some("main"), None, none));
                peer.say(greeting);
                let offered = peer.said();
                assert_eq!(offered, [1, if none { 1 } else { 2 }]);
                // Whatever follows, only the offered type leads anywhere.
                let mut rest = vec![choice];
                rest.extend([0; 64]);
                let progress = peer.say(&rest);
                let expected = match (choice == offered[1], none) {
                    (true, true) => done(version, Permission::Full, false),
                    (true, false) => Progress::Failed(HandshakeError::WrongPassword),
                    (false, _) => Progress::Failed(HandshakeError::NotOffered(choice)),
                };
                assert_eq!(progress, expected);
            }
        }
    }
}

/// CVE-2011-0011: no password is not an empty password.
#[test]
fn nothing_configured_lets_nobody_in() {
    for (greeting, version) in VERSIONS {
        let mut peer = Peer::new(policy(None, None, false));
        assert_eq!(
            peer.say(greeting),
            Progress::Failed(HandshakeError::NoWayIn)
        );
        let mut expected = if version == Version::V3_3 {
            vec![0; 4]
        } else {
            vec![0]
        };
        expected.extend(reason("The server lets nobody in"));
        assert_eq!(peer.said(), expected);
    }
}

#[test]
fn refusals_come_with_a_reason_where_there_is_a_place() {
    let refused = || Progress::Failed(HandshakeError::Refused("busy".to_owned()));
    for (greeting, version) in VERSIONS {
        // Before the version is known: instead of security types.
        let mut peer = Peer::new(policy(Some("main"), None, false));
        peer.handshake.refuse("busy", &mut peer.out);
        assert!(peer.said().is_empty());
        assert_eq!(peer.say(greeting), refused());
        let mut expected = if version == Version::V3_3 {
            vec![0; 4]
        } else {
            vec![0]
        };
        expected.extend(reason("busy"));
        assert_eq!(peer.said(), expected);

        // While a password is awaited: as its result, at once.
        let mut peer = Peer::new(policy(Some("main"), None, false));
        peer.say(greeting);
        if version != Version::V3_3 {
            peer.say(&[2]);
        }
        peer.said();
        peer.handshake.refuse("busy", &mut peer.out);
        let mut expected = vec![0, 0, 0, 1];
        if version == Version::V3_8 {
            expected.extend(reason("busy"));
        }
        assert_eq!(peer.said(), expected);
        let right = vnc_auth_response(b"main", &CHALLENGE);
        assert_eq!(peer.say(&right), refused());
    }
}

#[test]
fn other_protocols_are_noticed_early() {
    let mut peer = Peer::new(policy(Some("main"), None, false));
    let not_rfb = Progress::Failed(HandshakeError::Version(VersionError::NotRfb));
    assert_eq!(peer.say(b"G"), not_rfb);
    let mut peer = Peer::new(policy(Some("main"), None, false));
    assert_eq!(peer.say(b"RFB 003.00"), Progress::More);
}

proptest! {
    /// Without the password no bytes lead in, in whatever pieces.
    #[test]
    fn no_bytes_are_a_way_in(
        version in 0usize..5,
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut peer = Peer::new(policy(Some("a long one"), Some("another"), false));
        peer.say(VERSIONS[version].0);
        let progress = peer.say(&bytes);
        prop_assert!(!matches!(progress, Progress::Done(_)));
        let mut peer = Peer::new(policy(Some("a long one"), None, true));
        let _ = peer.say(&bytes);
    }
}
