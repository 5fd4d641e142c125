//! What `supervisorctl help` says.

/// Each command with its arguments and what it does here.
const COMMANDS: [(&str, &str, &str); 22] = [
    (
        "add",
        "<name> [...]",
        "Nothing: all that is configured is active",
    ),
    ("avail", "", "Display all configured processes"),
    (
        "clear",
        "<name>",
        "Nothing: files are put aside when they are full",
    ),
    ("exit", "", "Nothing: there is no prompt to leave"),
    (
        "fg",
        "<process>",
        "Nothing: services have no standard input; see tail -f",
    ),
    ("help", "[<action>]", "Print this, or about one action"),
    (
        "maintail",
        "[-f]",
        "The last lines of deskinit itself; -f goes on",
    ),
    ("open", "<url>", "Nothing: there is one run to talk to"),
    (
        "pid",
        "[<name>|all]",
        "Get the PID of deskinit, of a process, or of all",
    ),
    ("quit", "", "Nothing: there is no prompt to leave"),
    ("reload", "", "Nothing: settings are read at the start"),
    ("remove", "<name> [...]", "Nothing: stop a process instead"),
    ("reread", "", "Nothing: settings are read at the start"),
    (
        "restart",
        "<name>|<gname>:*|all",
        "Stop and start processes",
    ),
    ("shutdown", "", "End everything, as SIGTERM does"),
    (
        "signal",
        "<signal> <name>|<gname>:*|all",
        "Signal processes",
    ),
    ("start", "<name>|<gname>:*|all", "Start processes"),
    (
        "status",
        "[<name>|<gname>:*|all]",
        "Get the status of processes",
    ),
    ("stop", "<name>|<gname>:*|all", "Stop processes"),
    (
        "tail",
        "[-f] <name>",
        "The last lines of a process; -f goes on",
    ),
    ("update", "", "Nothing: settings are read at the start"),
    ("version", "", "Show the version of deskinit"),
];

/// The commands, or one of them; false when there is none of that name.
pub(super) fn help(topic: Option<&str>, out: &mut String) -> bool {
    let mut all = COMMANDS.iter();
    match topic {
        None => {
            *out +=
                "\ndefault commands (type help <topic>):\n=====================================\n";
            let names: Vec<&str> = all.map(|(name, _, _)| *name).collect();
            for row in names.chunks(8) {
                let row: String = row.iter().map(|name| format!("{name:<10}")).collect();
                *out += row.trim_end();
                out.push('\n');
            }
            out.push('\n');
            true
        }
        Some(topic) => match all.find(|(name, _, _)| *name == topic) {
            Some((name, arguments, text)) => {
                let call = format!("{name} {arguments}");
                *out += &format!("{:<30}\t{text}\n", call.trim_end());
                true
            }
            None => {
                *out += &format!("*** No help on {topic}\n");
                false
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_listed_and_explained() {
        let said = |topic| {
            let mut out = String::new();
            (help(topic, &mut out), out)
        };
        let (known, text) = said(None);
        assert!(
            known && text.contains("\nadd       avail     clear"),
            "{text}"
        );
        assert!(
            said(Some("stop"))
                .1
                .starts_with("stop <name>|<gname>:*|all")
        );
        assert_eq!(said(Some("x")), (false, "*** No help on x\n".to_owned()));
    }
}
