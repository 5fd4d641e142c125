use super::*;
use std::fs::File;
use std::io::{Read, Write};

fn logs(form: Form) -> (Logs, File) {
    let (reader, writer) = nix::unistd::pipe().unwrap();
    let out = Output::of(writer.as_fd()).unwrap();
    (Logs::new(form, Some(out)), File::from(reader))
}

fn pipe(logs: &mut Logs, id: Id, name: &str) -> File {
    let pipes = logs.pipes(id, name.into(), &Sinks::STDOUT).unwrap();
    File::from(pipes.output)
}

fn read_all(logs: Logs, mut reader: File) -> String {
    drop(logs);
    let mut text = Vec::new();
    reader.read_to_end(&mut text).unwrap();
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn lines_carry_their_service_whatever_the_pieces() {
    let (mut logs, reader) = logs(Form::Text);
    let mut app = pipe(&mut logs, Id(3), "app");
    app.write_all(b"one\ntw").unwrap();
    logs.drain_all();
    app.write_all(b"o\r\n\nlast").unwrap();
    logs.drain_all();
    logs.say("hello");
    drop(app);
    logs.drain_all();
    assert_eq!(logs.fds().count(), 0, "a closed pipe is forgotten");
    assert_eq!(logs.tail(Id(3)), ["one", "two", "", "last"]);
    assert_eq!(
        read_all(logs, reader),
        "[app] one\n[app] two\n[app] \n[run] hello\n[app] last\n"
    );
}

#[test]
fn an_expected_line_is_seen_once_and_only_of_the_latest_process() {
    let (mut logs, _reader) = logs(Form::Text);
    let mut old = pipe(&mut logs, Id(1), "hub");
    logs.expect(Id(1), &"listening".into());
    let mut new = pipe(&mut logs, Id(1), "hub");
    logs.expect(Id(1), &"listening".into());
    old.write_all(b"listening\n").unwrap();
    new.write_all(b"not yet\nnow list").unwrap();
    logs.drain_all();
    assert_eq!(logs.take_seen(), []);
    new.write_all(b"ening on 80\nlistening\n").unwrap();
    logs.drain_all();
    assert_eq!(logs.take_seen(), [Id(1)]);
    assert_eq!(logs.take_seen(), []);
}

#[test]
fn a_line_without_end_is_cut_and_nothing_is_lost() {
    let (mut logs, reader) = logs(Form::Text);
    let mut app = pipe(&mut logs, Id(0), "app");
    app.write_all(&vec![b'x'; 3 * LINE + 5]).unwrap();
    drop(app);
    logs.drain_all();
    let text = read_all(logs, reader);
    assert_eq!(text.matches('x').count(), 3 * LINE + 5);
    assert_eq!(text.lines().count(), 4);
}

#[test]
fn what_restarts_leave_behind_never_costs_a_living_service_its_pipe() {
    let (mut logs, reader) = logs(Form::Text);
    let mut server = pipe(&mut logs, Id(0), "xserver");
    let mut apps: Vec<File> = (0..SOURCES * 2)
        .map(|_| {
            let mut app = pipe(&mut logs, Id(3), "app");
            app.write_all(b"started").unwrap();
            app
        })
        .collect();
    assert_eq!(logs.fds().count(), SOURCES);
    server.write_all(b"still here\n").unwrap();
    assert!(apps[0].write_all(b"x").is_err(), "the oldest is closed");
    apps.clear();
    logs.drain_all();
    let text = read_all(logs, reader);
    assert!(text.contains("[xserver] still here\n"));
    assert_eq!(text.matches("[app] started\n").count(), SOURCES * 2);
}

#[test]
fn a_reader_that_sleeps_costs_lines_which_are_counted_exactly() {
    let (mut logs, mut reader) = logs(Form::Text);
    let line = [b'y'; 99];
    let total = 20_000;
    let mut app = pipe(&mut logs, Id(0), "app");
    for _ in 0..total {
        app.write_all(&line).unwrap();
        app.write_all(b"\n").unwrap();
        logs.drain_all();
    }
    assert!(logs.dropped() > 0);
    assert!(logs.queue.len() <= QUEUE + OWN);
    assert!(logs.blocked().is_some());
    let mut text = String::new();
    let mut buffer = vec![0; 65536];
    while logs.blocked().is_some() {
        let count = reader.read(&mut buffer).unwrap();
        text.push_str(&String::from_utf8_lossy(&buffer[..count]));
        logs.flush();
    }
    let dropped = logs.dropped();
    text.push_str(&read_all(logs, reader));
    let delivered = text
        .lines()
        .filter(|line| line.starts_with("[app] "))
        .count();
    let told: u64 = text
        .lines()
        .filter_map(|line| {
            line.strip_prefix("[run] ")?
                .split(' ')
                .next()?
                .parse::<u64>()
                .ok()
        })
        .sum();
    assert_eq!(told, dropped);
    assert_eq!(delivered as u64 + dropped, total);
}

#[test]
fn json_lines_parse_whatever_is_in_them() {
    let (mut logs, reader) = logs(Form::Json);
    let mut app = pipe(&mut logs, Id(0), "app");
    app.write_all(b"a \"quote\" and \xff\n{\"own\":1}\n")
        .unwrap();
    logs.drain_all();
    let text = read_all(logs, reader);
    let values: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(values[0]["message"], "a \"quote\" and \u{fffd}");
    assert_eq!(values[0]["service"], "app");
    assert_eq!(values[1]["own"], 1);
}

#[test]
fn a_service_with_a_file_writes_there_and_its_errors_where_they_belong() {
    let (mut logs, reader) = logs(Form::Text);
    let path = std::env::temp_dir().join(format!("deskinit-logs-{}", std::process::id()));
    let sinks = Sinks {
        output: Sink::File(FileSpec {
            path: path.clone(),
            max_bytes: None,
            backups: 0,
        }),
        errors: Some(Sink::Stdout),
        copy: None,
    };
    let pipes = logs.pipes(Id(0), "app".into(), &sinks).unwrap();
    File::from(pipes.output)
        .write_all(b"to the file\n")
        .unwrap();
    File::from(pipes.errors.unwrap())
        .write_all(b"aloud\n")
        .unwrap();
    logs.drain_all();
    assert_eq!(logs.tail(Id(0)).len(), 2, "both can be asked for");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "to the file\n");
    std::fs::remove_file(&path).unwrap();
    assert_eq!(read_all(logs, reader), "[app] aloud\n");
}

#[test]
fn two_pipes_of_one_process_are_not_taken_for_an_old_one_and_a_new() {
    let (mut logs, _reader) = logs(Form::Text);
    let both = Sinks {
        errors: Some(Sink::Nowhere),
        ..Sinks::STDOUT
    };
    let mut first = logs.pipes(Id(0), "a".into(), &both).unwrap();
    let _others: Vec<Pipes> = (0..SOURCES)
        .map(|_| logs.pipes(Id(1), "b".into(), &both).unwrap())
        .collect();
    File::from(first.output).write_all(b"x\n").unwrap();
    let errors = first.errors.take().unwrap();
    File::from(errors).write_all(b"y\n").unwrap();
    logs.drain_all();
    assert_eq!(logs.tail(Id(0)), ["x", "y"]);
}

#[test]
fn a_full_disk_is_tried_again_later_and_gets_all_that_waited() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut logs = Logs::new(Form::Text, Some(Output::of(full.as_fd()).unwrap()));
    logs.say("one");
    assert!(logs.deadline().is_some(), "after a while");
    assert!(logs.blocked().is_none(), "it would seem to have room");
    let (mut reader, writer) = nix::unistd::pipe()
        .map(|(r, w)| (File::from(r), w))
        .unwrap();
    logs.out = Some(Output::of(writer.as_fd()).unwrap());
    logs.say("two");
    logs.finish(100);
    drop((logs, writer));
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "[run] one\n[run] two\n");
}
