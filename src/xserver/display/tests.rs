use super::*;
use std::collections::BTreeSet;
use std::os::unix::net::UnixListener;

struct Root(PathBuf);

impl Root {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("deskinit-display-{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn claim(&self, wanted: Option<u16>) -> Result<Display, DisplayError> {
        Display::claim_in(
            Places {
                root: self.0.clone(),
                abstract_too: false,
                owner: None,
            },
            wanted,
        )
    }

    fn entries(&self) -> Vec<String> {
        let sockets = fs::read_dir(self.0.join(".X11-unix")).unwrap();
        let all = fs::read_dir(&self.0).unwrap().chain(sockets);
        let mut names: Vec<String> = all
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_first_free_number_is_taken_and_given_back() {
    let root = Root::new("free");
    let first = root.claim(None).unwrap();
    assert_eq!((first.number(), first.name()), (0, ":0".to_owned()));
    let lock = fs::read_to_string(root.0.join(".X0-lock")).unwrap();
    assert_eq!(
        (lock.len(), lock.trim().parse::<u32>().unwrap()),
        (11, std::process::id())
    );
    let _living = UnixListener::bind(root.0.join(".X11-unix/X1")).unwrap();
    drop(first);
    assert_eq!(root.entries(), [".X11-unix", "X1"]);
    let mode = fs::metadata(root.0.join(".X11-unix"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o1777);
}

#[test]
fn a_living_server_is_refused_and_left_alone() {
    let root = Root::new("living");
    drop(root.claim(Some(4)).unwrap());
    let _listener = UnixListener::bind(root.0.join(".X11-unix/X4")).unwrap();
    assert!(matches!(
        root.claim(Some(4)),
        Err(DisplayError::Taken { number: 4, .. })
    ));
    assert_eq!(root.entries(), [".X11-unix", "X4"]);
    // One that accepts nobody, and whose queue is full, is not waited for.
    let path = root.0.join(".X11-unix/X6");
    let none = SockFlag::empty();
    let full = socket(AddressFamily::Unix, SockType::Stream, none, None).unwrap();
    nix::sys::socket::bind(full.as_raw_fd(), &UnixAddr::new(&path).unwrap()).unwrap();
    nix::sys::socket::listen(&full, nix::sys::socket::Backlog::new(0).unwrap()).unwrap();
    let _waits = std::os::unix::net::UnixStream::connect(&path).unwrap();
    assert!(root.claim(Some(6)).is_err());
    fs::remove_file(&path).unwrap();
    // Process 1 lives as long as the machine does.
    fs::write(root.0.join(".X5-lock"), "         1\n").unwrap();
    let error = root.claim(Some(5)).unwrap_err();
    assert!(error.to_string().contains("living process 1"), "{error}");
    assert_eq!(root.claim(None).unwrap().number(), 0);
}

#[test]
fn what_a_dead_server_left_is_removed() {
    let root = Root::new("dead");
    drop(root.claim(Some(2)).unwrap());
    drop(UnixListener::bind(root.0.join(".X11-unix/X2")).unwrap());
    for pid in [
        "4194305\n",
        &format!("{:>10}\n", std::process::id()),
        "",
        "rubbish",
    ] {
        fs::write(root.0.join(".X2-lock"), pid).unwrap();
        assert_eq!(root.claim(Some(2)).unwrap().number(), 2, "{pid:?}");
        assert_eq!(root.entries(), [".X11-unix"]);
    }
}

/// What one container reads in the lock of another.
#[test]
fn a_lock_that_is_held_counts_whomever_it_names() {
    let root = Root::new("held");
    let first = root.claim(Some(2)).unwrap();
    let path = root.0.join(".X2-lock");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&path, "   4194305\n").unwrap();
    let error = root.claim(Some(2)).unwrap_err();
    assert!(error.to_string().contains("is held"), "{error}");
    // Killed.
    let left = root.0.join("left");
    fs::rename(&path, &left).unwrap();
    drop(first);
    fs::rename(&left, &path).unwrap();
    let _second = root.claim(Some(2)).unwrap();
}

#[test]
fn what_was_taken_by_force_is_not_given_back() {
    let root = Root::new("force");
    let first = root.claim(Some(1)).unwrap();
    fs::remove_file(root.0.join(".X1-lock")).unwrap();
    let second = root.claim(Some(1)).unwrap();
    let _server = UnixListener::bind(root.0.join(".X11-unix/X1")).unwrap();
    drop(first);
    assert_eq!(root.entries(), [".X1-lock", ".X11-unix", "X1"]);
    drop(second);
    assert_eq!(root.entries(), [".X11-unix"]);
}

#[test]
fn a_crowd_gets_different_numbers_past_a_dead_lock() {
    let root = Root::new("crowd");
    drop(root.claim(Some(0)).unwrap());
    for _ in 0..50 {
        fs::write(root.0.join(".X0-lock"), "4194305\n").unwrap();
        let claims: Vec<Display> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| root.claim(None).unwrap()))
                .collect();
            threads.into_iter().map(|one| one.join().unwrap()).collect()
        });
        let numbers: BTreeSet<u16> = claims.iter().map(Display::number).collect();
        assert_eq!(numbers.len(), 4, "{numbers:?}");
    }
    assert_eq!(root.entries(), [".X11-unix"]);
}

#[test]
fn planted_things_are_refused_and_their_targets_unharmed() {
    let root = Root::new("planted");
    drop(root.claim(Some(3)).unwrap());
    let target = root.0.join("target");
    fs::write(&target, "precious").unwrap();
    for path in [root.0.join(".X3-lock"), root.0.join(".X11-unix/X3")] {
        std::os::unix::fs::symlink(&target, &path).unwrap();
        assert!(matches!(
            root.claim(Some(3)),
            Err(DisplayError::Strange { .. })
        ));
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(matches!(
            root.claim(Some(3)),
            Err(DisplayError::Strange { .. })
        ));
        fs::remove_dir(&path).unwrap();
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(matches!(
            root.claim(Some(3)),
            Err(DisplayError::Strange { .. })
        ));
        fs::remove_file(&path).unwrap();
    }
    assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
    assert_eq!(root.entries(), [".X11-unix", "target"]);
    fs::remove_dir(root.0.join(".X11-unix")).unwrap();
    std::os::unix::fs::symlink("/", root.0.join(".X11-unix")).unwrap();
    assert!(matches!(
        root.claim(Some(3)),
        Err(DisplayError::Strange { .. })
    ));
    fs::remove_file(root.0.join(".X11-unix")).unwrap();
    fs::create_dir(root.0.join(".X11-unix")).unwrap();
}
