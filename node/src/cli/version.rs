//! `artel version`: which program this is.

use super::context::Context;
use clap::Args;
use serde_json::json;

/// Say which version this is.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  artel version\n  artel version --json")]
pub struct Version {}

impl Version {
    /// Says it.
    pub fn run(self, context: &Context) -> anyhow::Result<()> {
        let version = env!("CARGO_PKG_VERSION");
        context.show.done(&json!({"version": version}), &format!("artel {version}"))
    }
}
