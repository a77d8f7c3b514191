//! Artifacts' bytes on their way in and out: within the quota and the sender's rights before they are written, whole
//! before they are entered, checked before they are sent.

use super::inner::NodeService;
use super::refusal::{bug, of_store};
use super::shown::Viewer;
use crate::store;
use artel_protocol::id::Digest;
use artel_protocol::limits::ARTIFACT_BYTES_MAX;
use artel_web::types::artifact::ArtifactPost;
use artel_web::{Blob, Call, Code, Problem, Upload};
use bytes::{Bytes, BytesMut};
use std::io::SeekFrom;
use std::sync::atomic::Ordering;
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

/// How many bytes are handed on at a time. Larger pieces hold more memory for each slow receiver.
const PIECE_BYTES: usize = 64 << 10;

/// How many artifacts are read whole and checked at once, before a part of them is sent; the others wait in line. More,
/// and readers of large artifacts would take the machine for themselves.
pub(super) const CHECKS_AT_ONCE: usize = 4;

/// Bytes that are on disk and not under their name yet. Their room is taken until they are finished or dropped.
pub(super) struct Written {
    upload: store::Upload,
    room: Room,
    bytes: u64,
    announced: Option<u64>,
}

/// Room in the quota that is taken by bytes on their way in.
struct Room {
    service: NodeService,
    bytes: u64,
}

impl Room {
    fn grow(&mut self, bytes: u64) -> u64 {
        self.bytes += bytes;
        self.service.0.incoming_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.service.0.incoming_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Whether the caller may store so many bytes, as far as can be said before they are there; and how much room is left.
/// The rules have the last word.
pub(super) async fn may_store(
    service: &NodeService,
    call: &Call,
    post: &ArtifactPost,
    bytes: u64,
) -> Result<u64, Problem> {
    let run = post.run_id.or(post.step_id.map(|step| step.run()));
    let step = post.step_id;
    let look = move |view: artel_federation::view::View<'_>, viewer: Viewer| {
        let room = view.options().artifact_quota_bytes.saturating_sub(view.counts().artifact_bytes);
        // The rules bind artifacts to open runs alone.
        let open = run.and_then(|run| view.run(&run)).filter(|run| run.ended.is_none());
        let is_there =
            run.is_none() || open.is_some_and(|run| step.is_none_or(|step| step.index() < run.steps.len()));
        let may_attach = open.is_none_or(|run| match viewer {
            Viewer::Operator => true,
            Viewer::Agent(me) => {
                let holds = view.leases(&me).iter().any(|step| step.run() == run.id);
                let handed = run.steps.iter().any(|step| step.handed.iter().any(|handed| handed.agent == me));
                viewer.is(run.poster) || holds || handed
            }
        });
        (room, is_there, may_attach)
    };
    let (room, is_there, may_attach) = service.look(call, look).await?;
    if !is_there {
        let message = "there is no such run or step here that artifacts can be attached to";
        return Err(service.refuse(call, Problem::new(Code::NotFound, message)));
    }
    if !may_attach {
        let message = "only a run's poster and those who work on it attach artifacts to it";
        return Err(service.refuse(call, Problem::new(Code::Forbidden, message)));
    }
    if bytes > ARTIFACT_BYTES_MAX {
        return Err(service.refuse(call, Problem::of(Code::ArtifactTooLarge)));
    }
    if bytes > room {
        return Err(service.refuse(call, Problem::of(Code::ArtifactQuota)));
    }
    Ok(room)
}

/// Writes an artifact's bytes to disk.
pub(super) async fn take_in(
    service: &NodeService,
    call: &Call,
    post: &ArtifactPost,
    mut source: Upload,
) -> Result<Written, Problem> {
    let said = source.announced().or(post.byte_length);
    let left = may_store(service, call, post, said.unwrap_or(0)).await?;
    let upload = service.parts().blobs.upload().await.map_err(of_store)?;
    let room = Room { service: service.clone(), bytes: 0 };
    let mut written = Written { upload, room, bytes: 0, announced: post.byte_length };
    match write(&mut written, &mut source, left).await {
        Ok(()) => Ok(written),
        Err(problem) => Err(service.refuse(call, problem)),
    }
}

async fn write(written: &mut Written, source: &mut Upload, left: u64) -> Result<(), Problem> {
    while let Some(piece) = source.chunk().await? {
        written.bytes += piece.len() as u64;
        if written.room.grow(piece.len() as u64) > left {
            return Err(Problem::of(Code::ArtifactQuota));
        }
        written.upload.write(&piece).await.map_err(of_store)?;
    }
    Ok(())
}

impl Written {
    /// The digest of the bytes.
    pub fn digest(&self) -> Digest {
        self.upload.digest()
    }

    /// Puts the bytes under their name, durably; `wanted` is the digest that they must have.
    pub async fn finish(self, wanted: Option<Digest>) -> Result<store::Stored, Problem> {
        if let Some(said) = self.announced.filter(|said| *said != self.bytes) {
            let message = format!("byte_length says {said}, but {} bytes came", self.bytes);
            return Err(Problem::new(Code::DigestMismatch, message));
        }
        let stored = self.upload.finish(wanted).await.map_err(of_store);
        drop(self.room);
        stored
    }
}

/// Opens a part of an artifact whose bytes were just checked as a whole.
pub(super) async fn open(
    service: &NodeService,
    call: &Call,
    digest: Digest,
    start: u64,
    length: u64,
) -> Result<FileBlob, Problem> {
    service.viewer(call).await?;
    let _check = service.0.checks.acquire().await.map_err(|_| bug("nobody closes the line for checks"))?;
    let (mut file, _) = service.parts().blobs.open_checked(&digest).await.map_err(of_store)?;
    file.seek(SeekFrom::Start(start)).await.map_err(|error| of_store(error.into()))?;
    Ok(FileBlob { file, left: length })
}

/// A part of an artifact.
pub struct FileBlob {
    file: File,
    left: u64,
}

impl Blob for FileBlob {
    async fn read(&mut self) -> Result<Option<Bytes>, Problem> {
        if self.left == 0 {
            return Ok(None);
        }
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(PIECE_BYTES);
        let mut piece = BytesMut::with_capacity(wanted);
        while piece.len() < wanted {
            let room = wanted - piece.len();
            let read = (&mut self.file).take(room as u64).read_buf(&mut piece).await;
            match read.map_err(|error| of_store(error.into()))? {
                0 => {
                    return Err(Problem::new(
                        Code::ArtifactMissing,
                        "the artifact's file has become shorter",
                    ));
                }
                _ => continue,
            }
        }
        self.left -= wanted as u64;
        Ok(Some(piece.freeze()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    async fn blob(bytes: &[u8], start: u64, length: u64) -> FileBlob {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(bytes).expect("written");
        let mut file = File::from_std(file);
        file.seek(SeekFrom::Start(start)).await.expect("seeks");
        FileBlob { file, left: length }
    }

    #[tokio::test]
    async fn a_part_is_handed_on_in_pieces_and_ends() {
        let bytes: Vec<u8> = (0..200_000_u32).map(|i| i as u8).collect();
        let mut blob = blob(&bytes, 7, 150_000).await;
        let (mut got, mut pieces) = (Vec::new(), 0);
        while let Some(piece) = blob.read().await.expect("reads") {
            assert!(piece.len() <= PIECE_BYTES);
            got.extend_from_slice(&piece);
            pieces += 1;
        }
        assert_eq!((got.as_slice(), pieces), (&bytes[7..150_007], 3));
    }

    #[tokio::test]
    async fn a_file_that_ends_early_is_said_and_never_padded() {
        let mut blob = blob(b"short", 0, 10).await;
        assert_eq!(blob.read().await.expect_err("too short").code, Code::ArtifactMissing);
    }
}
