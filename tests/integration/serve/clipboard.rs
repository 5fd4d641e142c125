//! Text both ways, in both forms, and not at all when the operator says so.

use std::io::Write as _;
use std::process::{Child, Stdio};
use std::time::Duration;

use super::{SOON, Stage};
use crate::support::client::{Client, Event};
use crate::support::clipboard::flag;
use crate::support::eventually;
use crate::support::pseudo::number as pseudo;

const TEXT: &str = "Grüße, 你好 🙂";

/// Something on the desktop that owns the clipboard until it is dropped.
struct Owner(Child);

impl Owner {
    fn new(stage: &Stage, text: &str) -> Self {
        let mut command = stage.server.command("xclip");
        command.args(["-quiet", "-i", "-selection", "clipboard"]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("xclip is installed");
        let mut input = child.stdin.take().expect("piped");
        input.write_all(text.as_bytes()).expect("read");
        Self(child)
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a program on the desktop would paste.
fn pasted(stage: &Stage) -> String {
    let mut command = stage.server.command("timeout");
    command.args([
        "10",
        "xclip",
        "-o",
        "-selection",
        "clipboard",
        "-target",
        "UTF8_STRING",
    ]);
    let output = command.output().expect("xclip is installed");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn pastes(stage: &Stage, text: &str) {
    eventually(&format!("{text:?} is pasted"), SOON, || {
        (pasted(stage) == text).then_some(())
    });
}

fn extended(stage: &Stage) -> Client {
    let mut client = stage.serve.viewer();
    client
        .set_encodings(&[0, pseudo::EXTENDED_CLIPBOARD])
        .expect("connected");
    flagged(&mut client, flag::CAPS);
    client.clipboard_caps(0).expect("connected");
    client
}

/// The next message of this action; its text.
fn flagged(client: &mut Client, wanted: u32) -> Option<String> {
    let pick = |e: &Event| match e {
        Event::Clipboard(c) if c.flags & wanted != 0 => Some(c.text.clone()),
        _ => None,
    };
    client
        .wait(SOON, pick)
        .unwrap_or_else(|e| panic!("clipboard {wanted:x}: {e}"))
}

fn basic(stage: &Stage) -> Client {
    let mut client = stage.serve.viewer();
    client.set_encodings(&[0]).expect("connected");
    client
}

fn cut_text(client: &mut Client) -> String {
    let text = |e: &Event| match e {
        Event::CutText(text) => Some(text.clone()),
        _ => None,
    };
    client.wait(SOON, text).expect("a clipboard")
}

#[test]
fn text_goes_both_ways() {
    let stage = Stage::new((320, 200), &[]);
    let (mut new, mut old) = (extended(&stage), basic(&stage));

    // From the desktop.
    let owner = Owner::new(&stage, TEXT);
    flagged(&mut new, flag::NOTIFY);
    new.clipboard_request().expect("connected");
    assert_eq!(flagged(&mut new, flag::PROVIDE).as_deref(), Some(TEXT));
    assert_eq!(cut_text(&mut old), "Grüße, ?? ?");
    drop(owner);

    // To the desktop, and to the other viewer.
    let text = format!("{TEXT}\nzweite Zeile");
    new.clipboard_notify().expect("connected");
    flagged(&mut new, flag::REQUEST);
    new.clipboard_provide(&text).expect("connected");
    pastes(&stage, &text);
    assert_eq!(cut_text(&mut old), "Grüße, ?? ?\nzweite Zeile");

    old.cut_text("äöü ÿ").expect("connected");
    pastes(&stage, "äöü ÿ");
    flagged(&mut new, flag::NOTIFY);
    new.clipboard_request().expect("connected");
    assert_eq!(flagged(&mut new, flag::PROVIDE).as_deref(), Some("äöü ÿ"));
}

#[test]
fn what_the_desktop_copies_may_stay_there() {
    let stage = Stage::new((320, 200), &[("SENDCUTTEXT", "disabled")]);
    let mut client = basic(&stage);
    let _owner = Owner::new(&stage, "inside");
    pastes(&stage, "inside");
    // The other way is open, and shows that the first would have had the time.
    client.cut_text("outside").expect("connected");
    pastes(&stage, "outside");
    let event = client.event(Duration::from_millis(300)).expect("connected");
    assert!(event.is_none(), "{event:?}");
}

#[test]
fn what_a_viewer_copies_may_stay_there() {
    let stage = Stage::new((320, 200), &[("ACCEPTCUTTEXT", "disabled")]);
    let mut client = basic(&stage);
    client.cut_text("outside").expect("connected");
    let _owner = Owner::new(&stage, "inside");
    assert_eq!(cut_text(&mut client), "inside");
    client.cut_text("outside again").expect("connected");
    // Answered in order: the text before it was dealt with.
    client
        .set_encodings(&[0, pseudo::FENCE])
        .expect("connected");
    let fence = |e: &Event| matches!(e, Event::Fence(..)).then_some(());
    client.wait(SOON, fence).expect("a fence");
    assert_eq!(pasted(&stage), "inside");
}
