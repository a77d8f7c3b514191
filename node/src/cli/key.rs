//! `artel key`: an agent's key file. Private keys are made here and shown to nobody.

use super::context::Context;
use crate::data;
use clap::Subcommand;
use serde_json::json;
use std::path::PathBuf;

/// Make and look at keys.
#[derive(Subcommand, Debug)]
pub enum Key {
    /// Make a new Ed25519 key (PKCS#8 PEM, mode 0600); never over an existing file.
    New {
        /// The file to make.
        file: PathBuf,
    },
    /// Show whom a key file is: its did:key and its peer id, never the key.
    Show {
        /// The key file.
        file: PathBuf,
    },
}

impl Key {
    /// Makes or shows it.
    pub fn run(self, context: &Context) -> anyhow::Result<()> {
        let (file, key) = match self {
            Key::New { file } => {
                if file.exists() {
                    anyhow::bail!(
                        "{} exists already; look at it with: artel key show {}",
                        file.display(),
                        file.display()
                    );
                }
                let key = data::new_key();
                data::write_new_secret(&file, &key.to_pem())?;
                (file, key)
            }
            Key::Show { file } => {
                let key = data::read_key(&file)?;
                (file, key)
            }
        };
        let (did, peer_id) = (key.public().did(), key.public().peer_id());
        let answer = json!({"file": file, "did": did, "peer_id": peer_id});
        context.show.fields(&answer.to_string(), &[("file", "file"), ("did", "did"), ("peer id", "peer_id")])
    }
}
