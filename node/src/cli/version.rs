//! `artel version`: which program this is.

use super::context::Context;
use clap::Args;
use serde_json::json;

/// Say which version this is.
#[derive(Args, Debug)]
pub struct Version {}

impl Version {
    /// Says it.
    pub fn run(self, context: &Context) -> anyhow::Result<()> {
        let version = env!("CARGO_PKG_VERSION");
        context.show.done(&json!({"version": version}), &format!("artel {version}"))
    }
}
