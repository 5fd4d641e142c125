//! `deskinit sshd`: what `run` starts as the service sshd. Writes the configuration and a host key into the run directory,
//! then becomes OpenSSH's sshd, which works for its own user without any privilege.
//!
//! It lets this user in, with a key, and nobody else: for tunnels to the ports that listen on loopback, and for the sound
//! that a tunnel brings to the client.

use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use super::{program, say};
use crate::config::{Config, SshPort};
use crate::supervisor::link::SSH_DIRECTORY;
use crate::sys::accounts::Accounts;

/// Not found, as a shell says it.
const EXIT_NOT_FOUND: u8 = 127;
/// `EX_CANTCREAT`.
const EXIT_CANNOT_CREATE: u8 = 73;

/// Where keys of clients are mounted, below the home directory.
pub(super) const MOUNTED_KEYS: &str = "ssh_secret/authorized_keys";
/// Where users have them.
const OWN_KEYS: &str = ".ssh/authorized_keys";

/// Keys of the machine, as the system makes them; those of a container are root's as a rule.
const HOST_KEYS: [&str; 3] = [
    "/etc/ssh/ssh_host_ed25519_key",
    "/etc/ssh/ssh_host_ecdsa_key",
    "/etc/ssh/ssh_host_rsa_key",
];

/// Prepares, and never returns when all goes well.
pub(super) fn run(config: &Config) -> ExitCode {
    let Some(sshd) = program::daemon("sshd") else {
        say::err("sshd is not installed (Debian: openssh-server)");
        return ExitCode::from(EXIT_NOT_FOUND);
    };
    let file = match prepare(config) {
        Ok(file) => file,
        Err(error) => {
            say::err(error);
            return ExitCode::from(EXIT_CANNOT_CREATE);
        }
    };
    let error = Command::new(&sshd)
        .args(["-D", "-e", "-f"])
        .arg(file)
        .exec();
    say::err(format_args!("{}: {error}", sshd.display()));
    ExitCode::from(EXIT_NOT_FOUND)
}

fn prepare(config: &Config) -> io::Result<PathBuf> {
    let missing = |what: &str| io::Error::other(format!("{what} is not set: run starts this"));
    let SshPort::On(port) = config.ssh_port else {
        return Err(missing("SSH_PORT"));
    };
    let run_dir = config.run_dir.as_ref().ok_or_else(|| missing("RUN_DIR"))?;
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let uid = nix::unistd::geteuid().as_raw();
    let account = Accounts::read().of_uid(uid);
    let place = Place {
        port,
        addresses: &config.ssh_bind,
        host_keys: host_keys(&run_dir.join(SSH_DIRECTORY))?,
        home: home.ok_or_else(|| missing("HOME"))?,
        user: account
            .ok_or_else(|| io::Error::other(format!("user {uid} has no account in /etc/passwd")))?
            .name,
    };
    let file = run_dir.join(SSH_DIRECTORY).join("sshd_config");
    fs::write(&file, place.text()?)?;
    Ok(file)
}

/// Those of the machine if they can be read, else one for this run.
fn host_keys(directory: &Path) -> io::Result<Vec<PathBuf>> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let all = HOST_KEYS.iter().map(PathBuf::from);
    let readable: Vec<PathBuf> = all.filter(|path| File::open(path).is_ok()).collect();
    if !readable.is_empty() {
        return Ok(readable);
    }
    let key = directory.join("host_key");
    if !key.exists() {
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", "deskinit", "-f"])
            .arg(&key)
            .status()
            .map_err(|error| io::Error::other(format!("ssh-keygen: {error}")))?;
        if !made.success() {
            return Err(io::Error::other(format!("ssh-keygen: {made}")));
        }
    }
    Ok(vec![key])
}

/// All that is in the configuration.
struct Place<'a> {
    port: u16,
    addresses: &'a [IpAddr],
    host_keys: Vec<PathBuf>,
    home: PathBuf,
    user: String,
}

impl Place<'_> {
    fn text(&self) -> io::Result<String> {
        let mut text = String::new();
        let mut line = |words: std::fmt::Arguments<'_>| {
            // A String takes everything.
            let _ = writeln!(text, "{words}");
        };
        line(format_args!("Port {}", self.port));
        for address in self.addresses {
            line(format_args!("ListenAddress {address}"));
        }
        for key in &self.host_keys {
            line(format_args!("HostKey {}", quoted(key)?));
        }
        line(format_args!("AllowUsers {}", self.user));
        // `%` stands for something there.
        let keys = quoted(&self.home.join(MOUNTED_KEYS))?.replace('%', "%%");
        line(format_args!("AuthorizedKeysFile {OWN_KEYS} {keys}"));
        // A mounted secret belongs to root and is a link; who may change it is the business of whoever mounts it.
        text.push_str(
            "StrictModes no\n\
             AuthenticationMethods publickey\n\
             PasswordAuthentication no\n\
             KbdInteractiveAuthentication no\n\
             PermitRootLogin no\n\
             PermitEmptyPasswords no\n\
             PermitUserEnvironment no\n\
             UsePAM no\n\
             UseDNS no\n\
             LoginGraceTime 30\n\
             MaxStartups 10:30:100\n\
             ClientAliveInterval 20\n\
             AllowTcpForwarding yes\n\
             GatewayPorts no\n\
             PermitTunnel no\n\
             AllowAgentForwarding no\n\
             X11Forwarding no\n\
             PrintMotd no\n\
             PidFile none\n",
        );
        Ok(text)
    }
}

/// As sshd_config(5) wants a path with blanks in it; there is no way to write a quote.
fn quoted(path: &Path) -> io::Result<String> {
    match path.to_str() {
        Some(text) if !text.contains(['"', '\\', '\n']) => Ok(format!("\"{text}\"")),
        _ => Err(io::Error::other(format!(
            "{}: sshd's configuration cannot name such a path",
            path.display()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_lets_one_user_in_by_key() {
        let place = |home: &str| {
            Place {
                port: 2222,
                addresses: &["0.0.0.0".parse().unwrap(), "::".parse().unwrap()],
                host_keys: vec![PathBuf::from("/run dir/ssh/host_key")],
                home: PathBuf::from(home),
                user: "ann".to_owned(),
            }
            .text()
        };
        let text = place("/home/100% ann").unwrap();
        for line in [
            "Port 2222",
            "ListenAddress 0.0.0.0",
            "ListenAddress ::",
            "HostKey \"/run dir/ssh/host_key\"",
            "AllowUsers ann",
            "AuthorizedKeysFile .ssh/authorized_keys \"/home/100%% ann/ssh_secret/authorized_keys\"",
            "AuthenticationMethods publickey",
            "PermitRootLogin no",
        ] {
            assert!(text.lines().any(|one| one == line), "{line}: {text}");
        }
        assert!(place("/home/\"\nPermitRootLogin yes").is_err());
    }
}
