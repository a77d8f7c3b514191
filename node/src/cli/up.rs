//! `artel up`: starts a node and runs it until it is told to stop.

use super::context::{Context, Usage};
use crate::boot::{self, Join, UpOptions};
use clap::Args;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Start a node and run it until SIGINT or SIGTERM.
#[derive(Args, Debug)]
pub struct Up {
    /// Where the HTTP API and the dashboard listen; port 0 takes a free one [default: 127.0.0.1:7433].
    #[arg(long, value_name = "ADDR:PORT")]
    http: Option<String>,
    /// Where the mesh listens; may be given more than once [default: nowhere: it joins others, and none joins it].
    #[arg(long, value_name = "MULTIADDR")]
    listen: Vec<String>,
    /// Join the federation of this invitation instead of founding one; its text, or @FILE.
    #[arg(long, value_name = "INVITATION")]
    join: Option<String>,
    /// The configuration file instead of config.toml in the data directory.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// One configuration key; beats the file and the environment; may be given more than once.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Stop when stdin ends, so that a parent's death is noticed.
    #[arg(long, hide = true)]
    end_with_stdin: bool,
}

impl Up {
    /// Runs the node.
    pub async fn run(self, context: &Context) -> anyhow::Result<()> {
        let mut flags = flags(&self.set, self.http)?;
        if !self.listen.is_empty() {
            flags.insert("listen".into(), self.listen.join(","));
        }
        if self.end_with_stdin {
            end_with_stdin();
        }
        let options = UpOptions {
            data: context.data_or_default(),
            config_file: self.config,
            flags,
            json: context.show.json,
            join: self.join.as_deref().map(join).transpose()?,
        };
        boot::up(options).await
    }
}

/// Reads an invitation; as a file it stands in no list of processes.
fn join(given: &str) -> anyhow::Result<Join> {
    let text = match given.strip_prefix('@') {
        Some(file) => super::input::from_file(file)?,
        None => given.to_owned(),
    };
    Join::read(text.trim()).map_err(|error| Usage(format!("--join: {error}")).into())
}

fn flags(set: &[String], http: Option<String>) -> Result<BTreeMap<String, String>, Usage> {
    let mut flags = BTreeMap::new();
    for pair in set {
        let Some((key, value)) = pair.split_once('=') else {
            return Err(Usage(format!(
                "--set {pair} is not KEY=VALUE; write for example --set lease_ms=30000"
            )));
        };
        flags.insert(key.trim().to_owned(), value.trim().to_owned());
    }
    if let Some(http) = http {
        flags.insert("http".into(), http);
    }
    Ok(flags)
}

/// Ends this process as SIGTERM would once stdin ends. The thread is not joined: it ends with the process.
pub fn end_with_stdin() {
    std::thread::spawn(|| {
        // Whatever comes is thrown away; an error is an end too.
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configuration_keys_come_from_flags() {
        let read = flags(&["lease_ms=30000".into(), "name = a=b".into()], Some("127.0.0.1:0".into()))
            .expect("reads");
        assert_eq!(read["lease_ms"], "30000");
        assert_eq!(read["name"], "a=b");
        assert_eq!(read["http"], "127.0.0.1:0");
        assert!(flags(&["lease_ms".into()], None).is_err());
    }
}
