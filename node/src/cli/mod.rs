//! The command line: what can be typed, and how its end is told. A verb's work is in the file of its name; nothing here
//! knows a route. Every verb ends in 0 (done), 1 (failed) or 2 (wrong use), with one sentence on stderr when not 0.

mod agent;
pub mod artifact;
pub mod audit;
mod completions;
mod conduct;
pub mod context;
mod doctor;
mod enroll;
mod event;
pub mod examples;
mod fraud;
mod idle;
mod input;
mod invite;
mod key;
mod ledger;
pub mod live;
pub mod log;
mod lots;
mod man;
mod node;
pub mod paint;
mod peers;
pub mod progress;
pub mod receipt;
mod recompute;
mod reputation;
mod run;
pub mod show;
mod status;
mod task;
mod up;
mod version;
pub mod watch;
pub mod wording;
pub mod work;

use clap::{Args, FromArgMatches as _, Parser, Subcommand};
use context::{Context, Usage};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

/// A node of a federation of agents: post work, do work, and prove both.
#[derive(Parser, Debug)]
#[command(name = "artel", version, propagate_version = true, max_term_width = 110)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

/// How a command finds its node and who calls.
#[derive(Args, Debug, Clone, Default)]
pub struct Global {
    /// The node's data directory: its URL and the operator's token are read from it.
    #[arg(
        long,
        global = true,
        env = "ARTEL_DATA",
        value_name = "DIR",
        help_heading = "Which node, who calls"
    )]
    pub data: Option<PathBuf>,
    /// The node's URL.
    #[arg(
        long,
        global = true,
        env = "ARTEL_NODE",
        value_name = "URL",
        help_heading = "Which node, who calls"
    )]
    pub node: Option<String>,
    /// A file with the bearer token to call with.
    #[arg(
        long,
        global = true,
        env = "ARTEL_TOKEN_FILE",
        value_name = "FILE",
        help_heading = "Which node, who calls"
    )]
    pub token_file: Option<PathBuf>,
    /// An agent's key (PKCS#8 PEM); its token is kept beside it in FILE.token.
    #[arg(
        long,
        global = true,
        env = "ARTEL_KEY",
        value_name = "FILE",
        help_heading = "Which node, who calls"
    )]
    pub key: Option<PathBuf>,
    /// A PEM file with the only certificates to trust, for https.
    #[arg(long, global = true, value_name = "FILE", help_heading = "Which node, who calls")]
    pub ca: Option<PathBuf>,
    /// Write JSON for programs instead of text for people.
    #[arg(long, global = true, help_heading = "Which node, who calls")]
    pub json: bool,
}

#[derive(Subcommand, Debug)]
enum Verb {
    Up(up::Up),
    Demo(crate::demo::Demo),
    Status(status::Status),
    Doctor(doctor::Doctor),
    #[command(subcommand)]
    Key(key::Key),
    #[command(subcommand)]
    Agent(agent::Agent),
    Work(work::Work),
    #[command(subcommand)]
    Task(task::Task),
    #[command(subcommand)]
    Run(run::Run),
    #[command(subcommand)]
    Event(event::Event),
    #[command(subcommand)]
    Artifact(artifact::Artifact),
    #[command(subcommand)]
    Audit(audit::Audit),
    Invite(invite::Invite),
    #[command(subcommand)]
    Node(node::Node),
    Peers(peers::Peers),
    #[command(subcommand)]
    Reputation(reputation::Reputation),
    #[command(subcommand)]
    Ledger(ledger::Ledger),
    Bench(crate::bench::Bench),
    Completions(completions::Completions),
    Man(man::Man),
    Version(version::Version),
}

/// How the demo starts an agent of its own.
pub const DEMO_WORKER: &str = "demo-worker";

/// Runs one command line, the program's own name first.
pub fn run(args: impl IntoIterator<Item = impl Into<OsString>>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().map(Into::into).collect();
    // The demo starts its agents so; nobody types it, and no shell offers it.
    if args.get(1).is_some_and(|verb| verb == DEMO_WORKER) {
        return on_threads(threads(false), crate::demo::worker::run(), &Hints::default());
    }
    let parsed =
        examples::command().try_get_matches_from(args).and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout, what is wrong to stderr; a closed pipe there is nobody's loss.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let hints = Hints { data: cli.global.data.clone(), list: list_of(&cli.verb) };
    let threads = threads(matches!(cli.verb, Verb::Up(_)));
    on_threads(threads, run_verb(cli), &hints)
}

/// The threads that serve connections. A node's driver keeps a core busy by itself, so they are one fewer than cores: more cost
/// more in changes of thread than they do. Who sets tokio's own variable is obeyed.
fn threads(is_node: bool) -> tokio::runtime::Builder {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if is_node && std::env::var_os("TOKIO_WORKER_THREADS").is_none() {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        builder.worker_threads(cores.saturating_sub(1).max(1));
    }
    builder
}

fn on_threads(
    mut threads: tokio::runtime::Builder,
    work: impl Future<Output = anyhow::Result<()>>,
    hints: &Hints,
) -> ExitCode {
    let runtime = match threads.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return told(&anyhow::anyhow!("cannot start threads: {error}"), hints),
    };
    let done = runtime.block_on(work);
    // A read of stdin that nobody waits for any more must not keep the process.
    runtime.shutdown_background();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => told(&error, hints),
    }
}

async fn run_verb(cli: Cli) -> anyhow::Result<()> {
    let context = Context::new(cli.global);
    match cli.verb {
        Verb::Up(up) => up.run(&context).await,
        Verb::Demo(demo) => demo.run(&context).await,
        Verb::Bench(bench) => bench.run(&context).await,
        Verb::Status(status) => status.run(&context).await,
        Verb::Doctor(doctor) => doctor.run(&context).await,
        Verb::Key(key) => key.run(&context),
        Verb::Agent(agent) => agent.run(&context).await,
        Verb::Work(work) => work.run(&context).await,
        Verb::Task(task) => task.run(&context).await,
        Verb::Run(run) => run.run(&context).await,
        Verb::Event(event) => event.run(&context).await,
        Verb::Artifact(artifact) => artifact.run(&context).await,
        Verb::Audit(audit) => audit.run(&context).await,
        Verb::Invite(invite) => invite.run(&context).await,
        Verb::Node(node) => node.run(&context).await,
        Verb::Peers(peers) => peers.run(&context).await,
        Verb::Reputation(reputation) => reputation.run(&context).await,
        Verb::Ledger(ledger) => ledger.run(&context).await,
        Verb::Completions(completions) => completions.run(&context),
        Verb::Man(man) => man.run(&context),
        Verb::Version(version) => version.run(&context),
    }
}

/// What is known of a command when it fails, for what to do next.
#[derive(Debug, Default)]
struct Hints {
    /// The data directory that was named.
    data: Option<PathBuf>,
    /// What lists the things that the command is about.
    list: Option<&'static str>,
}

/// The command that lists what another one is about.
fn list_of(verb: &Verb) -> Option<&'static str> {
    Some(match verb {
        Verb::Task(_) => "artel task list --status any",
        Verb::Run(_) => "artel run list",
        Verb::Agent(_) | Verb::Reputation(_) => "artel agent list",
        Verb::Artifact(_) => "artel artifact list",
        Verb::Audit(_) => "artel audit show",
        Verb::Invite(_) => "artel invite list",
        Verb::Node(_) => "artel node list",
        _ => return None,
    })
}

/// Tells why a command did not do what was asked, and says it in the exit status.
fn told(error: &anyhow::Error, hints: &Hints) -> ExitCode {
    use std::io::Write as _;
    let closed_pipe = |e: &std::io::Error| e.kind() == std::io::ErrorKind::BrokenPipe;
    if error.downcast_ref::<std::io::Error>().is_some_and(closed_pipe) {
        // Whoever read our output has seen enough.
        return ExitCode::SUCCESS;
    }
    let own = error.downcast_ref::<crate::client::Error>().and_then(|e| in_our_words(e, hints));
    let sentence = own.unwrap_or_else(|| format!("{error:#}"));
    // Nothing is left to be told when stderr is closed too.
    let _ = writeln!(std::io::stderr(), "artel: {sentence}");
    let misused = error.downcast_ref::<crate::config::Error>().is_some_and(crate::config::Error::is_of_flags);
    ExitCode::from(if misused || error.is::<Usage>() { 2 } else { 1 })
}

/// What a node said, or did not, in the words of the command line, with the command to type next.
fn in_our_words(error: &crate::client::Error, hints: &Hints) -> Option<String> {
    if let (crate::client::Error::Away { url, cause }, Some(data)) = (error, &hints.data) {
        let data = data.display();
        return Some(format!(
            "no answer from the node at {url} ({cause}); see what is wrong with: artel doctor --data {data}, \
             or start it with: artel up --data {data}"
        ));
    }
    let sentence = match error.code()? {
        "unauthenticated" => {
            "the node wants to know who calls; say --data DIR, --key FILE or --token-file FILE"
        }
        "bad_token" => "the token is not one of this node's; get one with: artel agent enroll --key FILE",
        "token_expired" => "the token has expired; get a new one with: artel agent enroll --key FILE",
        "token_revoked" => "the token was revoked; get a new one with: artel agent enroll --key FILE",
        "agents_only" => "only an agent can do this; say --key FILE, after: artel agent enroll --key FILE",
        "operator_only" => "only the operator can do this; say --data DIR, the node's data directory",
        "not_found" => {
            return Some(format!("there is no such thing here; see what there is with: {}", hints.list?));
        }
        "index_opening" => {
            "the index is still opening; try again in a moment, or watch it with: artel doctor"
        }
        "journal_unavailable" => {
            "the journal cannot be written, so nothing is taken in; see why with: artel doctor --data DIR"
        }
        _ => return None,
    };
    Some(sentence.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_wrong_names_the_next_command() {
        use crate::client::Error;
        let refused = |code: &str| Error::Refused {
            status: 404,
            code: code.into(),
            message: "no".into(),
            retry_after_s: None,
        };
        let hints = |line: &str| {
            let cli = Cli::try_parse_from(line.split_whitespace()).expect("parses");
            Hints { data: cli.global.data.clone(), list: list_of(&cli.verb) }
        };
        for (error, line, wanted) in [
            (refused("not_found"), "artel agent show did:key:z6Mk", Some("artel agent list")),
            (refused("not_found"), "artel task show x", Some("artel task list --status any")),
            (refused("not_found"), "artel node expel x --reason y", Some("artel node list")),
            (refused("not_found"), "artel version", None),
            (refused("unauthenticated"), "artel agent list", Some("--key FILE")),
            (refused("task_taken"), "artel task claim", None),
            (
                Error::Away { url: "u".into(), cause: "c".into() },
                "artel status --data ./there",
                Some("artel up --data ./there"),
            ),
        ] {
            let said = in_our_words(&error, &hints(line));
            assert_eq!(said.is_some(), wanted.is_some(), "{line}: {said:?}");
            assert!(said.unwrap_or_default().contains(wanted.unwrap_or_default()), "{line}: {wanted:?}");
        }
    }

    #[test]
    fn wrong_use_is_told_from_failure() {
        for (line, wanted) in [
            ("artel", 2),
            ("artel nonsense", 2),
            ("artel task show", 2),
            ("artel version", 0),
            ("artel --help", 0),
        ] {
            let code = run(line.split_whitespace());
            assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::from(wanted)), "{line}");
        }
    }
}
