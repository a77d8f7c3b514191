//! `artel artifact`: bytes in and out, named by their digest. What is fetched by digest is checked against it before it
//! gets the name that was asked for.

use super::context::{Context, Usage};
use super::progress::{MEGABYTES, Progress};
use super::show::{self, Column};
use crate::client::{Client, escape};
use artel_protocol::id::{ArtifactId, Digest, StepId};
use clap::Subcommand;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{self, Poll, ready};
use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::io::ReaderStream;

/// How many bytes are read at a time.
const PIECE_BYTES: usize = 64 << 10;

/// Put bytes into a node and get them back.
#[derive(Subcommand, Debug)]
pub enum Artifact {
    /// Store a file.
    Put {
        /// The file.
        file: PathBuf,
        /// Its name there; its own unless it is given.
        #[arg(long)]
        name: Option<String>,
        /// What kind of thing it is.
        #[arg(long, default_value = "file")]
        kind: String,
        /// Its media type.
        #[arg(long = "type", default_value = "application/octet-stream", value_name = "TYPE")]
        media_type: String,
        /// The run that it belongs to.
        #[arg(long, value_name = "RUN")]
        run: Option<String>,
    },
    /// Fetch an artifact's bytes and check them.
    Get {
        /// Its digest or its id.
        name: String,
        /// The file to write; stdout without it.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// List artifacts.
    List {
        /// Only those of this run.
        #[arg(long, value_name = "RUN")]
        run: Option<String>,
        /// Only those of this kind.
        #[arg(long)]
        kind: Option<String>,
        /// Where to go on, as the last page said.
        #[arg(long)]
        cursor: Option<String>,
    },
}

#[derive(Deserialize)]
struct Entry {
    sha256: Option<String>,
}

const COLUMNS: &[Column] = &[
    ("artifact", "artifact_id"),
    ("name", "name"),
    ("kind", "kind"),
    ("bytes", "byte_length"),
    ("by", "created_by"),
    ("digest", "sha256"),
    ("type", "content_type"),
    ("created", "created_at"),
    ("run", "run_id"),
];

impl Artifact {
    /// Does it.
    pub async fn run(self, context: &Context) -> anyhow::Result<()> {
        let client = context.client()?;
        match self {
            Artifact::Put { file, name, kind, media_type, run } => {
                let own = file.file_name().map(|n| n.to_string_lossy().into_owned());
                let name = name.or(own).unwrap_or_else(|| "file".into());
                let digest = tokio::task::spawn_blocking({
                    let file = file.clone();
                    move || digest_of(&file)
                })
                .await??;
                let mut path =
                    format!("/v1/artifacts/{digest}?name={}&kind={}", escape(&name), escape(&kind));
                if let Some(run) = run {
                    path.push_str(&format!("&run_id={}", escape(&run)));
                }
                let opened = tokio::fs::File::open(&file).await?;
                let bytes = opened.metadata().await?.len();
                let body = reqwest::Body::wrap_stream(ReaderStream::with_capacity(
                    Told { inner: opened, done: 0, progress: Progress::new(MEGABYTES, Some(bytes)) },
                    PIECE_BYTES,
                ));
                let answer = client.put(&path, &media_type, body).await?;
                context.show.fields(&answer, COLUMNS)
            }
            Artifact::Get { name, out } => {
                let digest = resolve(&client, &name).await?;
                get(context, &client, &digest, out.as_deref()).await
            }
            Artifact::List { run, kind, cursor } => {
                let mut path = "/v1/artifacts?limit=50".to_owned();
                for (name, value) in [("run_id", run), ("kind", kind), ("cursor", cursor)] {
                    path.push_str(&value.map(|v| format!("&{name}={}", escape(&v))).unwrap_or_default());
                }
                let none = "no artifacts; store one with: artel artifact put FILE";
                context.show.list(&client.get_text(&path).await?, &COLUMNS[..6], none)
            }
        }
    }
}

/// A file that is read, and how far that is.
struct Told {
    inner: tokio::fs::File,
    done: u64,
    progress: Progress,
}

impl AsyncRead for Told {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        self.done += (buf.filled().len() - before) as u64;
        let done = self.done;
        self.progress.update(done, "");
        Poll::Ready(Ok(()))
    }
}

/// Stores bytes under their digest, as a step's of this node where one is named, and says the digest.
///
/// # Errors
/// What the node said.
pub async fn put(
    client: &Client,
    name: &str,
    kind: &str,
    media_type: &str,
    bytes: Vec<u8>,
    of: Option<StepId>,
) -> anyhow::Result<Digest> {
    let digest = Digest::of(&bytes);
    let of = of.map(|step| format!("&step_id={step}")).unwrap_or_default();
    let path = format!("/v1/artifacts/{digest}?name={}&kind={}{of}", escape(name), escape(kind));
    client.put(&path, media_type, bytes).await?;
    Ok(digest)
}

/// Fetches bytes into memory and checks them against their digest.
///
/// # Errors
/// What the node said, or that the bytes are others.
pub async fn fetch(client: &Client, digest: &Digest, bytes_max: usize) -> anyhow::Result<Vec<u8>> {
    let bytes = client.get_bytes(&format!("/v1/artifacts/{digest}"), bytes_max).await?;
    if Digest::of(&bytes) != *digest {
        anyhow::bail!("{} sent other bytes than those of {digest}; nothing of them was used", client.base());
    }
    Ok(bytes)
}

async fn resolve(client: &Client, name: &str) -> anyhow::Result<Digest> {
    if let Ok(digest) = Digest::parse(name) {
        return Ok(digest);
    }
    let wrong = |_| {
        Usage(format!("{name} is neither a digest nor an artifact's id; list them with: artel artifact list"))
    };
    let id = ArtifactId::parse(name).map_err(wrong)?;
    let entry: Entry = client.get(&format!("/v1/artifacts/{id}")).await?;
    let Some(digest) = entry.sha256 else { anyhow::bail!("the bytes of {id} have not been uploaded yet") };
    Ok(Digest::parse(&digest)?)
}

async fn get(context: &Context, client: &Client, digest: &Digest, out: Option<&Path>) -> anyhow::Result<()> {
    let mut response = client.download(&format!("/v1/artifacts/{digest}")).await?;
    // The bytes get their name only once they are known to be the right ones.
    let temporary = out.map(|path| path.with_added_extension("part"));
    let mut sink: Box<dyn std::io::Write + Send> = match &temporary {
        Some(path) => Box::new(
            std::fs::File::create(path)
                .map_err(|e| anyhow::anyhow!("cannot write {}: {e}", path.display()))?,
        ),
        None => Box::new(std::io::stdout()),
    };
    let (mut hash, mut bytes) = (Sha256::new(), 0_u64);
    // What goes to a terminal itself is not to be drawn over.
    let mut progress = out.map(|_| Progress::new(MEGABYTES, response.content_length()));
    while let Some(piece) = response.chunk().await.map_err(|e| client.away(&e))? {
        hash.update(&piece);
        bytes += piece.len() as u64;
        sink.write_all(&piece)?;
        if let Some(progress) = &mut progress {
            progress.update(bytes, "");
        }
    }
    drop(progress);
    sink.flush()?;
    drop(sink);
    let right = Digest(hash.finalize().into()) == *digest;
    match (&temporary, out) {
        (Some(part), Some(path)) if right => std::fs::rename(part, path)?,
        (Some(part), _) => std::fs::remove_file(part)?,
        _ => {}
    }
    if !right {
        anyhow::bail!("{} sent other bytes than those of {digest}; do not use them", client.base());
    }
    match out {
        Some(path) => context.show.done(
            &json!({"file": path, "bytes": bytes, "sha256": digest.to_string()}),
            &format!("{}: {bytes} bytes, {digest}", show::plain(&path.display().to_string())),
        ),
        None => Ok(()),
    }
}

fn digest_of(file: &Path) -> anyhow::Result<Digest> {
    let failed = |e: std::io::Error| anyhow::anyhow!("cannot read {}: {e}", file.display());
    let mut opened = std::fs::File::open(file).map_err(failed)?;
    let (mut hash, mut piece) = (Sha256::new(), vec![0; PIECE_BYTES]);
    loop {
        match opened.read(&mut piece).map_err(failed)? {
            0 => return Ok(Digest(hash.finalize().into())),
            n => hash.update(&piece[..n]),
        }
    }
}
