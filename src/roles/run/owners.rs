//! Services that are to run as somebody else than everything does.
//!
//! ```text
//!  run is root                                  ──▶ they do
//!  root has become USER, a table names another  ──▶ they do: the right to is kept for them
//!  otherwise                                    ──▶ a table: refused; a program of supervisord's: a warning
//! ```

use std::ffi::OsString;

use super::identity::Who;
use crate::config::{Extra, Mistake, Owner, Ready, Services};
use crate::supervisor::driver::Launch;
use crate::sys::accounts::{Account, Accounts};
use crate::sys::process::{self, Identity};

/// Whose a service is.
struct Found {
    identity: Identity,
    account: Option<Account>,
}

/// Does any service ask for a user of its own, so that the right to give it one is to be kept?
pub(super) fn are_named(services: &Services) -> bool {
    let mut owners = services
        .extra
        .iter()
        .filter_map(|extra| extra.owner.as_ref());
    owners.any(|owner| owner.insists)
}

/// What becomes of services that name an owner.
///
/// # Errors
/// One that nobody knows, or that cannot be had.
pub(super) fn check(
    services: &Services,
    accounts: &Accounts,
    who: &Who,
) -> Result<Vec<String>, Mistake> {
    let mut warnings = Vec::new();
    for extra in &services.extra {
        let Some(owner) = &extra.owner else { continue };
        let place = place(extra, owner);
        let found = find(owner, accounts, who).map_err(|why| Mistake(format!("{place}: {why}")))?;
        let other = found.identity.uid != who.uid;
        let differs = other || owner.group.is_some() && found.identity.gid != who.gid();
        if !differs {
            continue;
        }
        let may = match &who.other {
            None => who.uid == 0 && process::may_assume(),
            Some(_) => owner.insists && process::may_assume(),
        };
        match may {
            false if owner.insists => {
                return Err(Mistake(format!(
                    "{place}: run is user {} and has no right to start anything as another: start the container as root with the capabilities SETUID and SETGID, or leave it out",
                    nix::unistd::geteuid()
                )));
            }
            false => warnings.push(format!(
                "{place}: runs as user {}, as everything does",
                who.uid
            )),
            true if other && extra.ready == Ready::Notify => {
                return Err(Mistake(format!(
                    "{place}: ready = \"notify\" is not for it, for its socket is closed to other users; use ready = {{ fd = 3 }}"
                )));
            }
            true => {}
        }
    }
    Ok(warnings)
}

/// Makes it a process of its owner's.
pub(super) fn hand_over(owner: &Owner, accounts: &Accounts, who: &Who, launch: &mut Launch) {
    if who.other.is_some() && !owner.insists {
        return;
    }
    let Ok(found) = find(owner, accounts, who) else {
        return;
    };
    let command = &mut launch.command;
    if owner.insists && found.identity.uid != who.uid {
        let (name, home, shell) = match found.account {
            Some(account) => (account.name, account.home, account.shell),
            None => (found.identity.uid.to_string(), "/".into(), "".into()),
        };
        let shell = Some(shell).filter(|shell| !shell.as_os_str().is_empty());
        let variables: [(&str, OsString); 4] = [
            ("HOME", home.into()),
            ("USER", name.clone().into()),
            ("LOGNAME", name.into()),
            ("SHELL", shell.unwrap_or_else(|| "/bin/sh".into()).into()),
        ];
        command.env.retain(|(known, _)| {
            *known != *"XDG_RUNTIME_DIR" && !variables.iter().any(|(name, _)| **known == **name)
        });
        command
            .env
            .extend(variables.map(|(name, value)| (name.into(), value)));
    }
    if found.identity.uid != who.uid || found.identity.gid != who.gid() {
        command.attributes.identity = Some(found.identity);
    }
}

fn place(extra: &Extra, owner: &Owner) -> String {
    let name = &extra.name;
    let owner_words = match (&owner.user, &owner.group) {
        (Some(user), _) => format!("user={user}"),
        (None, Some(group)) => format!("group={group}"),
        (None, None) => String::new(),
    };
    match owner.insists {
        true => format!("[service.{name}]: {owner_words}"),
        false => format!("the program {name}: {owner_words}"),
    }
}

fn find(owner: &Owner, accounts: &Accounts, who: &Who) -> Result<Found, String> {
    let (uid, account) = match &owner.user {
        None => (who.uid, accounts.of_uid(who.uid)),
        Some(user) => {
            let number = user.parse().ok();
            let account = match number {
                Some(uid) => accounts.of_uid(uid),
                None => accounts.named(user),
            };
            let uid = account.as_ref().map(|account| account.uid).or(number);
            let uid = uid.ok_or("there is no such user in /etc/passwd")?;
            (uid, account)
        }
    };
    let gid = match &owner.group {
        Some(group) => {
            let number = group.parse().ok();
            let gid = number.or_else(|| accounts.group(group));
            gid.ok_or_else(|| format!("there is no group {group} in /etc/group"))?
        }
        None => account.as_ref().map_or(uid, |account| account.gid),
    };
    let groups = match &account {
        Some(account) => accounts.groups_of(&account.name, gid),
        None => vec![gid],
    };
    Ok(Found {
        identity: Identity { uid, gid, groups },
        account,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Raw};
    use crate::roles::run::identity::Started;

    fn accounts() -> Accounts {
        Accounts::of(
            "root:x:0:0::/root:/bin/bash\nann:x:1000:100::/home/ann:/bin/zsh\nbob:x:1001:100::/home/bob:\n",
            "root:x:0:\nusers:x:100:\nvideo:x:44:ann,bob\n",
        )
    }

    fn who(uid: u32) -> Who {
        let (config, _) = Config::parse(Raw::new()).unwrap();
        let started = Started {
            uid,
            gid: uid,
            groups: Vec::new(),
            home: None,
            user: None,
            shell: None,
        };
        Who::new(&config, &accounts(), &started).unwrap()
    }

    fn services(user: Option<&str>, group: Option<&str>, insists: bool) -> Services {
        let mut extra = Extra::new("a", vec!["x".to_owned()]);
        extra.owner = Some(Owner {
            user: user.map(str::to_owned),
            group: group.map(str::to_owned),
            insists,
        });
        Services {
            extra: vec![extra],
            ..Services::default()
        }
    }

    #[test]
    fn an_owner_has_its_groups_or_the_one_that_is_named() {
        let found = |user, group| {
            let owner = services(user, group, true).extra[0].owner.clone().unwrap();
            let found = find(&owner, &accounts(), &who(0));
            found.map(|found| {
                (
                    found.identity.uid,
                    found.identity.gid,
                    found.identity.groups,
                )
            })
        };
        assert_eq!(found(Some("bob"), None), Ok((1001, 100, vec![44, 100])));
        assert_eq!(found(Some("bob"), Some("7")), Ok((1001, 7, vec![7, 44])));
        assert_eq!(found(Some("4242"), None), Ok((4242, 4242, vec![4242])));
        assert_eq!(found(None, Some("video")), Ok((0, 44, vec![44])));
        assert!(
            found(Some("eve"), None)
                .unwrap_err()
                .contains("no such user")
        );
        assert!(
            found(None, Some("eve"))
                .unwrap_err()
                .contains("no group eve")
        );
    }

    #[test]
    fn who_cannot_become_another_refuses_a_table_and_warns_of_a_program() {
        let ann = who(1000);
        let check = |services: &Services| check(services, &accounts(), &ann);
        let refused = check(&services(Some("bob"), None, true)).unwrap_err();
        assert!(
            refused.0.starts_with("[service.a]: user=bob: run is user "),
            "{refused}"
        );
        assert!(check(&services(None, Some("video"), true)).is_err());
        let warned = check(&services(Some("bob"), None, false)).unwrap();
        assert_eq!(
            warned,
            ["the program a: user=bob: runs as user 1000, as everything does"]
        );
        assert_eq!(check(&services(Some("ann"), None, true)), Ok(Vec::new()));
    }
}
