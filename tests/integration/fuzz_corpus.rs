//! Replays every file of tests/fuzz/corpus through the function that its fuzz target calls: what once broke something
//! never breaks it again.

use std::fs;
use std::path::Path;

#[path = "../fuzz/src/lib.rs"]
#[expect(
    unreachable_pub,
    reason = "the file is also the root of the fuzzing crate"
)]
mod targets;

fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz/corpus")
        .join(target);
    let mut count = 0;
    for entry in fs::read_dir(&folder).expect("a folder for each target") {
        let path = entry.expect("an entry of the folder").path();
        println!("{}", path.display());
        let data = fs::read(&path).expect("a readable file");
        run(&data);
        // Cut short at every place, too: an input is rarely whole when it is first looked at.
        for end in 0..data.len().min(512) {
            run(&data[..end]);
        }
        count += 1;
    }
    assert!(count > 0, "no corpus for {target}");
}

#[test]
fn handshake() {
    replay("handshake", targets::handshake);
}

#[test]
fn client_messages() {
    replay("client_messages", targets::client_messages);
}

#[test]
fn clipboard() {
    replay("clipboard", targets::clipboard);
}

#[test]
fn gate() {
    replay("gate", targets::gate);
}

#[test]
fn ini() {
    replay("ini", targets::ini);
}
