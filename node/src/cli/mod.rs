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
mod input;
mod invite;
mod key;
mod ledger;
mod live;
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
        return on_threads(crate::demo::worker::run());
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
    on_threads(run_verb(cli))
}

fn on_threads(work: impl Future<Output = anyhow::Result<()>>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return told(&anyhow::anyhow!("cannot start threads: {error}")),
    };
    let done = runtime.block_on(work);
    // A read of stdin that nobody waits for any more must not keep the process.
    runtime.shutdown_background();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => told(&error),
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

/// Tells why a command did not do what was asked, and says it in the exit status.
fn told(error: &anyhow::Error) -> ExitCode {
    use std::io::Write as _;
    let closed_pipe = |e: &std::io::Error| e.kind() == std::io::ErrorKind::BrokenPipe;
    if error.downcast_ref::<std::io::Error>().is_some_and(closed_pipe) {
        // Whoever read our output has seen enough.
        return ExitCode::SUCCESS;
    }
    let own = error.downcast_ref::<crate::client::Error>().and_then(|e| e.code());
    let sentence = own.and_then(in_our_words).map_or_else(|| format!("{error:#}"), str::to_owned);
    // Nothing is left to be told when stderr is closed too.
    let _ = writeln!(std::io::stderr(), "artel: {sentence}");
    let misused = error.downcast_ref::<crate::config::Error>().is_some_and(crate::config::Error::is_of_flags);
    ExitCode::from(if misused || error.is::<Usage>() { 2 } else { 1 })
}

/// Refusals whose own sentence speaks of HTTP, in the words of the command line.
fn in_our_words(code: &str) -> Option<&'static str> {
    match code {
        "unauthenticated" => {
            Some("the node wants to know who calls; say --data DIR, --key FILE or --token-file FILE")
        }
        "bad_token" => {
            Some("the token is not one of this node's; get one with: artel agent enroll --key FILE")
        }
        "token_expired" => Some("the token has expired; get a new one with: artel agent enroll --key FILE"),
        "token_revoked" => Some("the token was revoked; get a new one with: artel agent enroll --key FILE"),
        "agents_only" => {
            Some("only an agent can do this; say --key FILE, after: artel agent enroll --key FILE")
        }
        "operator_only" => Some("only the operator can do this; say --data DIR, the node's data directory"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
