//! The examples of every command, in one place: they stand under its `--help` and in its man page, and a system test runs
//! each of them against a real node. What they name is always the same: a node on `./node`, an agent's key `agent.pem`.

use super::Cli;
use clap::CommandFactory as _;

/// A command, what can be typed, and what is to be known beside.
pub struct Examples {
    /// The command behind `artel`, such as `task post`; empty for the program itself.
    pub of: &'static str,
    /// Whole command lines.
    pub lines: &'static [&'static str],
    /// What follows them; may be empty.
    pub notes: &'static str,
}

/// The characters of an example's line, so that it and two blanks fit into 80.
const LINE_CHARS: usize = 76;

const fn examples(of: &'static str, lines: &'static [&'static str]) -> Examples {
    Examples { of, lines, notes: "" }
}

const fn noted(of: &'static str, lines: &'static [&'static str], notes: &'static str) -> Examples {
    Examples { of, lines, notes }
}

/// All of them, in the order of the commands.
pub const ALL: &[Examples] = &[
    examples(
        "",
        &[
            "artel demo --once",
            "artel up --data ./node",
            "artel status --data ./node",
            "artel doctor --data ./node",
        ],
    ),
    examples(
        "up",
        &[
            "artel up --data ./node",
            "artel up --data ./node --http 127.0.0.1:0 --json",
            "artel up --data ./node --listen /ip4/127.0.0.1/tcp/7434 --listen /ip4/127.0.0.1/udp/7434/quic-v1",
            "artel up --data ./node --set lease_ms=30000 --set log=debug",
            "artel up --data ./other --join artel-invitation-1:AbCd",
        ],
    ),
    noted(
        "demo",
        &["artel demo --once", "artel demo ./src --once --nodes 2 --agents 8", "artel demo --once --json"],
        "The first node is the home: it founds a federation, invites the others and posts the work. The agents run it as \
WebAssembly in their sandbox; where this machine lacks a wall of the sandbox, nothing is run.\n\nNothing leaves this \
machine: the nodes listen on loopback, their data is in a temporary directory.",
    ),
    examples(
        "status",
        &[
            "artel status --data ./node",
            "artel status --node http://127.0.0.1:7433 --json",
            "artel status --data ./node --wait 10",
            "artel status --data ./node --watch",
        ],
    ),
    examples("doctor", &["artel doctor --data ./node", "artel doctor --data ./stopped-node --json"]),
    examples("key", &["artel key new new.pem", "artel key show agent.pem"]),
    examples("key new", &["artel key new new.pem"]),
    examples("key show", &["artel key show agent.pem --json"]),
    examples(
        "agent",
        &[
            "artel agent enroll --data ./node --key agent.pem --name ada --capability text",
            "artel agent list --data ./node",
        ],
    ),
    examples(
        "agent enroll",
        &[
            "artel agent enroll --key agent.pem --node http://127.0.0.1:7433 --name ada --capability text --capability rust@2",
        ],
    ),
    examples("agent list", &["artel agent list --data ./node --capability text"]),
    examples(
        "agent show",
        &[
            "artel agent show --key agent.pem --data ./node",
            "artel agent show did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK --data ./node",
        ],
    ),
    examples("agent rotate", &["artel agent rotate --key agent.pem --node http://127.0.0.1:7433"]),
    examples(
        "agent revoke",
        &[
            "artel agent revoke --key agent.pem --node http://127.0.0.1:7433",
            "artel agent revoke did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK --data ./node",
        ],
    ),
    noted(
        "work",
        &[
            "artel work --node http://127.0.0.1:7433 --key agent.pem --name ada --capability text",
            "artel work --node http://127.0.0.1:7433 --key agent.pem --allow kind=wasm",
            "artel work --node http://127.0.0.1:7433 --key agent.pem --name ada --capability text --exec ./count-words.sh",
            "artel work --node http://127.0.0.1:7433 --key agent.pem --exec 'python3 agent_step.py' --slots 4",
        ],
        "A sandboxed worker's agent delegates to its node, which takes tasks of other homes for it (--no-delegate: not so); \
one with --exec does only where --delegate says so, for a command runs with no walls around it.\nIn the sandbox a task gets \
files by name where its input says so: {\"artifacts\":{NAME:\"sha256:HEX\"}}.\n\nCMD gets the step as one JSON object on stdin \
(task_id, epoch, title, description, input, inputs, needs, artifacts …) and writes one JSON value on stdout; logs go to \
stderr. A field `artifacts` in its output that lists digests is handed in as the submission's artifacts too. ARTEL_NODE and \
ARTEL_TOKEN are set, so that it can call: artel artifact get DIGEST\nAnother exit status than 0, or output that is not JSON, \
gives the task back; another agent may take it then.\nIt ends with its shell: what that leaves in the background is killed, \
and so is all of it when the worker is gone.",
    ),
    examples(
        "task",
        &[
            "artel task post --data ./node --title 'count words' --input '{\"text\":\"a b c\"}' --reward 1.5",
            "artel task list --data ./node --status any",
        ],
    ),
    examples(
        "task post",
        &[
            "artel task post --data ./node --title 'count words' --capability text --input '{\"text\":\"a b c\"}' --reward 1.5",
            "artel task post --data ./node --file task.json",
            "artel task post --data ./node --title 'count words' --capability words --watch",
        ],
    ),
    examples(
        "task list",
        &["artel task list --data ./node --status any --json", "artel task list --data ./node --watch"],
    ),
    examples("task offers", &["artel task offers --data ./node"]),
    examples("task show", &["artel task show 01981f5e-0000-7000-8000-000000000001 --data ./node"]),
    examples("task claim", &["artel task claim --key agent.pem --node http://127.0.0.1:7433 --wait 30"]),
    examples(
        "task submit",
        &[
            "artel task submit 01981f5e-0000-7000-8000-000000000001 --epoch 1 --output '{\"words\":3}' --key agent.pem --data ./node",
        ],
    ),
    examples("task watch", &["artel task watch 01981f5e-0000-7000-8000-000000000001 --data ./node"]),
    examples("task cancel", &["artel task cancel 01981f5e-0000-7000-8000-000000000001 --data ./node"]),
    examples(
        "run",
        &["artel run start run.json --data ./node", "artel run list --data ./node --status running"],
    ),
    noted(
        "run start",
        &["artel run start run.json --data ./node"],
        "run.json:\n  {\"name\":\"two steps\",\"steps\":[\n    {\"name\":\"count\",\"task\":{\"title\":\"count words\",\"reward\":1,\"input\":{\"text\":\"a b\"}}},\n    {\"name\":\"sum\",\"needs\":[\"count\"],\"task\":{\"title\":\"sum up\",\"reward\":1}}]}",
    ),
    examples(
        "run list",
        &["artel run list --data ./node --status completed --json", "artel run list --data ./node --watch"],
    ),
    examples("run show", &["artel run show 01981f5e-0000-7000-8000-000000000000 --data ./node"]),
    examples("run watch", &["artel run watch 01981f5e-0000-7000-8000-000000000000 --data ./node"]),
    examples("run cancel", &["artel run cancel 01981f5e-0000-7000-8000-000000000000 --data ./node"]),
    examples(
        "event",
        &[
            "artel event tail --data ./node",
            "artel event emit xyn.report.ready --data ./node --body '{\"file\":\"a.html\"}'",
        ],
    ),
    examples(
        "event emit",
        &["artel event emit xyn.report.ready --data ./node --body '{\"file\":\"a.html\"}'"],
    ),
    examples(
        "event tail",
        &[
            "artel event tail --data ./node --json",
            "artel event tail --data ./node --name xyn.task.accepted --until-quiet",
        ],
    ),
    examples(
        "artifact",
        &[
            "artel artifact put report.html --data ./node --type text/html",
            "artel artifact list --data ./node",
        ],
    ),
    examples(
        "artifact put",
        &["artel artifact put report.html --data ./node --type text/html --kind report"],
    ),
    examples(
        "artifact get",
        &[
            "artel artifact get sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 --data ./node --out empty.bin",
            "artel artifact get 01981f5e-0000-7000-8000-00000000000a --data ./node > file",
        ],
    ),
    examples("artifact list", &["artel artifact list --data ./node --kind report"]),
    examples("audit", &["artel audit show --data ./node", "artel audit verify ./node"]),
    examples(
        "audit show",
        &["artel audit show --data ./node --kind Granted", "artel audit show 12 --data ./node --json"],
    ),
    examples(
        "audit verify",
        &[
            "artel audit verify ./node",
            "artel audit verify http://127.0.0.1:7433",
            "artel audit verify ./liar.fraud",
        ],
    ),
    examples(
        "audit prove",
        &["artel audit prove 12 --data ./node --out 12.tlog-proof", "artel audit prove 12 ./copy-of-node"],
    ),
    examples("audit redo", &["artel audit redo 01981f5e-0000-7000-8000-000000000001 --data ./node"]),
    examples("audit checkpoint", &["artel audit checkpoint --data ./node"]),
    examples(
        "audit rebuild",
        &["artel audit rebuild ./stopped-node", "artel audit rebuild --data ./stopped-node"],
    ),
    examples(
        "invite",
        &[
            "artel invite --data ./node",
            "artel invite --data ./node --uses 3 --for 7d --json",
            "artel invite list --data ./node",
        ],
    ),
    examples("invite list", &["artel invite list --data ./node"]),
    examples(
        "invite revoke",
        &[
            "artel invite revoke sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae --data ./node",
        ],
    ),
    examples("node", &["artel node list --data ./node"]),
    examples("node list", &["artel node list --data ./node --json"]),
    examples(
        "node expel",
        &[
            "artel node expel did:key:z6MkpTHR8VNsBxYAAWHut2Geadd9jSwuBV8xRoAnwWsdvktH --data ./node --reason 'it lied'",
        ],
    ),
    examples(
        "node admit",
        &["artel node admit did:key:z6MkpTHR8VNsBxYAAWHut2Geadd9jSwuBV8xRoAnwWsdvktH --data ./node"],
    ),
    examples(
        "peers",
        &[
            "artel peers --data ./node",
            "artel peers --data ./node --watch",
            "artel peers --journals --data ./node",
            "artel peers --homes --data ./node --json",
            "artel peers --traffic --data ./node",
            "artel peers --refused --data ./node",
        ],
    ),
    examples(
        "reputation",
        &[
            "artel reputation show --key agent.pem --data ./node",
            "artel reputation recompute did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK --data ./copy-of-node",
        ],
    ),
    examples(
        "reputation show",
        &[
            "artel reputation show --key agent.pem --data ./node",
            "artel reputation show did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK --data ./node --json",
        ],
    ),
    examples(
        "reputation recompute",
        &[
            "artel reputation recompute did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK --data ./copy-of-node",
            "artel reputation recompute did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK --data ./copy-of-node --viewer did:key:z6MkpTHR8VNsBxYAAWHut2Geadd9jSwuBV8xRoAnwWsdvktH --json",
        ],
    ),
    examples("ledger", &["artel ledger show --data ./node"]),
    examples(
        "ledger show",
        &[
            "artel ledger show --data ./node --json",
            "artel ledger show --key agent.pem --node http://127.0.0.1:7433",
        ],
    ),
    noted(
        "bench",
        &[
            "artel bench throughput --tasks 1000",
            "artel bench latency --tasks 100 --json",
            "artel bench start --entries 0 --starts 2",
        ],
        "A node of its own is started in a directory that goes away again. Figures mean something beside the machine's load \
and its disk's own sync, which stand in each of them.",
    ),
    examples(
        "bench throughput",
        &[
            "artel bench throughput --tasks 1000",
            "artel bench throughput --tasks 1000 --in-flight 256 --workers 32 --json",
        ],
    ),
    examples("bench latency", &["artel bench latency --tasks 100"]),
    examples("bench contention", &["artel bench contention --racers 16 --tasks 100"]),
    examples("bench growth", &["artel bench growth --backlog 100 --backlog 1000 --drain 100"]),
    examples("bench audit", &["artel bench audit --group 512 --each-ms 100"]),
    examples("bench start", &["artel bench start --entries 0 --entries 1000 --starts 2"]),
    examples("bench step", &["artel bench step --steps 50 --json"]),
    examples("bench claim", &["artel bench claim --claims 50 --json"]),
    examples("bench blob", &["artel bench blob --mb 20 --times 2"]),
    examples("bench sync", &["artel bench sync --records 200 --times 2"]),
    examples("bench gossip", &["artel bench gossip --nodes 3 --offers 50 --rate 50"]),
    examples("bench idle", &["artel bench idle --workers 8 --seconds 2"]),
    noted(
        "completions",
        &[
            "artel completions bash > artel.bash",
            "artel completions zsh > _artel",
            "artel completions fish > artel.fish",
        ],
        "Where a shell looks for them: bash in ~/.local/share/bash-completion/completions/artel, zsh in a directory of its \
$fpath as _artel, fish in ~/.config/fish/completions/artel.fish.",
    ),
    noted(
        "man",
        &["artel man ./man", "artel man --page 'task post' | man -l -"],
        "Pages of all commands: put the directory's files into ~/.local/share/man/man1, and man artel-task-post finds them.",
    ),
    examples("version", &["artel version", "artel version --json"]),
];

/// The whole command line with its examples.
pub fn command() -> clap::Command {
    ALL.iter().fold(Cli::command(), |command, examples| {
        let words: Vec<&str> = examples.of.split_whitespace().collect();
        add(command, &words, examples)
    })
}

/// Hangs the examples under the command that the words lead to.
///
/// # Panics
/// When there is no such command, which is a fault of the table.
fn add(command: clap::Command, words: &[&str], examples: &Examples) -> clap::Command {
    match words.split_first() {
        None => command.after_help(text(examples)),
        Some((first, rest)) => {
            assert!(command.find_subcommand(first).is_some(), "there is no command {:?}", examples.of);
            command.mut_subcommand(first, |command| add(command, rest, examples))
        }
    }
}

fn text(examples: &Examples) -> String {
    let mut text = "Examples:".to_owned();
    for line in examples.lines {
        text.push_str("\n  ");
        text.push_str(&broken(line));
    }
    if !examples.notes.is_empty() {
        text.push_str("\n\n");
        text.push_str(examples.notes);
    }
    text
}

/// A command line that fits a narrow terminal: broken between words, where a shell lets it go on.
fn broken(line: &str) -> String {
    let (mut text, mut room) = (String::new(), LINE_CHARS);
    for word in line.split_inclusive(' ').fold(Vec::<String>::new(), joined) {
        if word.trim_end().len() > room && room < LINE_CHARS {
            text.push_str("\\\n      ");
            room = LINE_CHARS - 4;
        }
        room = room.saturating_sub(word.len());
        text.push_str(&word);
    }
    text
}

/// Takes a piece that ends in a blank to the words before it; what stands in quotes stays together.
fn joined(mut words: Vec<String>, piece: &str) -> Vec<String> {
    match words.last_mut() {
        Some(open) if open.matches('\'').count() % 2 == 1 => open.push_str(piece),
        _ => words.push(piece.to_owned()),
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[test]
    fn long_lines_are_broken_where_a_shell_goes_on() {
        assert_eq!(broken("artel version"), "artel version");
        for line in ALL.iter().flat_map(|examples| examples.lines) {
            let told = broken(line);
            assert_eq!(told.replace("\\\n      ", ""), *line);
            let longest = told.lines().map(str::len).max().expect("a line");
            assert!(longest <= LINE_CHARS + 2 || line.split(' ').any(|word| word.len() > 50), "{told}");
            assert!(told.lines().all(|line| line.matches('\'').count() % 2 == 0), "{told}");
        }
    }

    /// Splits an example as a shell would that knows only quotes.
    fn words(line: &str) -> Vec<String> {
        let mut words = vec![String::new()];
        let mut quote = None;
        for c in line.chars() {
            match (quote, c) {
                (Some(q), c) if c == q => quote = None,
                (None, '\'' | '"') => quote = Some(c),
                (None, ' ') => words.push(String::new()),
                (_, c) => words.last_mut().expect("never empty").push(c),
            }
        }
        words.retain(|w| !w.is_empty());
        words
    }

    fn every_command(command: &clap::Command, path: &str, visit: &mut dyn FnMut(&str, &clap::Command)) {
        visit(path, command);
        for sub in command.get_subcommands().filter(|c| !c.is_hide_set() && c.get_name() != "help") {
            every_command(sub, format!("{path} {}", sub.get_name()).trim(), visit);
        }
    }

    #[test]
    fn the_definitions_hold_together() {
        command().debug_assert();
    }

    #[test]
    fn every_command_has_its_examples_once_and_each_parses() {
        let mut commands = Vec::new();
        every_command(&command(), "", &mut |path, command| {
            commands.push(path.to_owned());
            assert!(command.get_about().is_some(), "{path:?} has no description");
            let found: Vec<&Examples> = ALL.iter().filter(|examples| examples.of == path).collect();
            let [examples] = found[..] else { panic!("{path:?} has its examples {} times", found.len()) };
            assert!(!examples.lines.is_empty(), "{path:?} has no example");
            for example in examples.lines {
                // What a shell does with a line's end is not ours.
                let line = example.split(" | ").next().expect("a first part");
                let line = line.split(" > ").next().expect("a first part");
                let begins = format!("artel {path}");
                assert!(
                    line.starts_with(begins.trim()),
                    "{path:?}: the example is of another command: {line}"
                );
                if let Err(error) = Cli::try_parse_from(words(line)) {
                    panic!("{path:?}: {line}: {error}");
                }
            }
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains(&broken(examples.lines[0])), "{path:?}");
        });
        assert_eq!(ALL.len(), commands.len(), "examples of no command: {commands:?}");
    }
}
