//! A way in by SSH, for the desktop's user and by key only.

use std::fs;
use std::io::Read as _;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, chown, geteuid};

use crate::support::TempDir;
use crate::support::desk::{Builder, Desk, LONG, is_ready, pid};

/// An account that every Debian has; root is not let in.
const ACCOUNT: &str = "games";

/// A home with mounted keys, and a client.
struct World {
    account: String,
    home: TempDir,
    client: TempDir,
    port: u16,
}

impl World {
    /// `None` where there is no sshd, or the user has no account.
    fn new() -> Option<Self> {
        let installed = ["/usr/sbin/sshd", "/usr/bin/ssh-keygen", "/usr/bin/ssh"];
        let user = if geteuid().is_root() {
            User::from_name(ACCOUNT)
        } else {
            User::from_uid(geteuid())
        };
        let user = user.ok().flatten();
        let (true, Some(user)) = (installed.iter().all(|path| fs::exists(path).unwrap()), user)
        else {
            eprintln!("skipped: no sshd here, or no account");
            return None;
        };
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let world = Self {
            account: user.name,
            home: TempDir::new(),
            client: TempDir::new(),
            port: free.local_addr().unwrap().port(),
        };
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(world.key())
            .status();
        assert!(made.unwrap().success());
        let secret = world.home.path().join("ssh_secret");
        fs::create_dir(&secret).unwrap();
        fs::copy(
            world.key().with_extension("pub"),
            secret.join("authorized_keys"),
        )
        .unwrap();
        chown(world.home.path(), Some(user.uid), Some(user.gid)).unwrap();
        Some(world)
    }

    fn key(&self) -> PathBuf {
        self.client.path().join("key")
    }

    fn builder(&self) -> Builder {
        Builder::new(&["sh", "-c", "env; exec xterm"])
            .env("USER", &self.account)
            .env("HOME", self.home.path().to_str().unwrap())
            .env("SSH_PORT", &self.port.to_string())
    }

    fn ssh(&self, user: &str, options: &[&str]) -> Command {
        let mut ssh = Command::new("ssh");
        ssh.args(["-F", "none", "-p", &self.port.to_string(), "-l", user])
            .args(["-o", "BatchMode=yes", "-o", "LogLevel=ERROR"])
            .args(["-o", "StrictHostKeyChecking=accept-new", "-o"])
            .arg(format!(
                "UserKnownHostsFile={}",
                self.client.path().join("known").display()
            ))
            .args(options)
            .stdin(Stdio::null());
        ssh
    }

    fn refused(&self, user: &str, options: &[&str]) -> String {
        let Output { status, stderr, .. } = self
            .ssh(user, options)
            .args(["127.0.0.1", "true"])
            .output()
            .unwrap();
        assert_eq!(status.code(), Some(255));
        String::from_utf8_lossy(&stderr).into_owned()
    }

    /// What the VNC port says first, through a tunnel.
    fn greeting(&self, desk: &Desk) -> String {
        let vnc = desk.up().vnc.unwrap();
        let mut ssh = self
            .ssh(&self.account, &["-W", &vnc])
            .arg("-i")
            .arg(self.key())
            .arg("127.0.0.1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = [0; 12];
        let read = ssh.stdout.take().unwrap().read_exact(&mut first);
        let _ = ssh.kill();
        ssh.wait().unwrap();
        read.map(|()| String::from_utf8_lossy(&first).into_owned())
            .unwrap_or_default()
    }
}

#[test]
fn a_tunnel_by_key_is_the_only_way_in() {
    let Some(world) = World::new() else {
        return;
    };
    let desk = world.builder().env("SECURE_CONNECTION", "1").start();
    let before = desk.up();
    assert!(is_ready(&before, "sshd"));
    assert!(before.vnc.as_ref().unwrap().starts_with("127.0.0.1:"));
    // Where the sound of a client's own comes by a tunnel the other way.
    desk.line("[app] PULSE_SERVER=tcp:localhost:34567");
    assert_eq!(world.greeting(&desk), "RFB 003.008\n");

    let key = world.key();
    let with_key = ["-i", key.to_str().unwrap()];
    let only_key = "Permission denied (publickey)";
    assert!(world.refused(&world.account, &[]).contains(only_key));
    let password = [
        "-o",
        "PreferredAuthentications=password,keyboard-interactive",
    ];
    assert!(world.refused(&world.account, &password).contains(only_key));
    assert!(world.refused("root", &with_key).contains(only_key));
    assert!(world.refused("daemon", &with_key).contains(only_key));

    // Killed, it is back with the same host key: the client knows it and is asked nothing.
    let old = pid(&before, "sshd");
    kill(Pid::from_raw(old), Signal::SIGKILL).unwrap();
    let after = desk.when("sshd is back", LONG, |status| {
        is_ready(status, "sshd") && pid(status, "sshd") != old
    });
    assert_eq!(pid(&before, "app"), pid(&after, "app"));
    assert_eq!(world.greeting(&desk), "RFB 003.008\n");
    let run_dir = desk.run_dir();
    desk.signal(Signal::SIGTERM);
    desk.code();
    assert!(!run_dir.join("ssh").exists());
}

#[test]
fn sshd_is_there_when_it_is_asked_for_and_can_do_its_work() {
    let Some(world) = World::new() else {
        return;
    };
    let has = |builder: Builder| {
        let desk = builder.env("APP_HEADLESS", "1").start();
        let status = desk.up();
        let there = status.services.iter().any(|service| service.name == "sshd");
        (there, desk)
    };
    assert!(!has(world.builder().env("SSH_PORT", "off")).0);
    fs::remove_dir_all(world.home.path().join("ssh_secret")).unwrap();
    let plain = Builder::new(&["sleep", "100"])
        .env("USER", &world.account)
        .env("HOME", world.home.path().to_str().unwrap());
    assert!(!has(plain).0, "without keys and without a port");
    if geteuid().is_root() {
        let (there, desk) = has(world.builder().env("USER", "root"));
        assert!(!there);
        desk.line("sshd is not started: everything runs as root");
        let (there, desk) = has(world.builder().env("USER", "").env("USER_ID", "54329"));
        assert!(!there);
        desk.line("sshd is not started: the user has no account");
    }
}
