//! `artel completions`: what a shell offers while a command is typed, from the same definitions as the commands.

use super::context::Context;
use super::examples;
use clap::Args;
use clap_complete::Shell;
use std::io::Write as _;

/// Print the completions of a shell.
#[derive(Args, Debug)]
pub struct Completions {
    /// The shell.
    shell: Shell,
}

impl Completions {
    /// Prints them.
    pub fn run(self, context: &Context) -> anyhow::Result<()> {
        let text = of(self.shell);
        if context.show.json {
            let shell = self.shell.to_string();
            return context.show.done(&serde_json::json!({"shell": shell, "completions": text}), "");
        }
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes())?;
        Ok(out.flush()?)
    }
}

fn of(shell: Shell) -> String {
    let mut bytes = Vec::new();
    clap_complete::generate(shell, &mut examples::command(), "artel", &mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum as _;

    #[test]
    fn every_command_is_in_every_shells_completions() {
        for shell in Shell::value_variants() {
            let text = of(*shell);
            for example in examples::ALL {
                for word in example.of.split_whitespace() {
                    assert!(text.contains(word), "{shell}: {word} of {:?}", example.of);
                }
            }
            assert!(!text.contains(super::super::DEMO_WORKER), "{shell}: what is hidden is not offered");
        }
    }
}
