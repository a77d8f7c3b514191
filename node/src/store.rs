//! Artifacts' bytes under `blobs/sha256/`, named by their digest. A blob is there whole or not at all (temporary file,
//! sync, rename, directory sync), and what is read is what was named, or the read fails with the file's name.

use artel_protocol::id::Digest;
use artel_protocol::limits::ARTIFACT_BYTES_MAX;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::fs::{self, File};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};
use tokio::sync::{Mutex, MutexGuard};

/// How many bytes are read at a time.
const PIECE_BYTES: usize = 64 << 10;

/// Why bytes cannot be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes have another digest than was said.
    #[error("the bytes have digest {got}, not {wanted}; send the bytes that you named")]
    WrongDigest {
        /// What was said.
        wanted: Digest,
        /// What they have.
        got: Digest,
    },
    /// More bytes than an artifact may have.
    #[error("an artifact has at most {ARTIFACT_BYTES_MAX} bytes")]
    TooLarge,
    /// No such bytes here.
    #[error("no artifact with digest {0} is stored here")]
    NotFound(Digest),
    /// The file is not what its name says.
    #[error("blob {0} on disk is damaged: its bytes do not have the digest of its name; store it again")]
    Damaged(Digest),
    /// The disk said no.
    #[error("artifact storage: {0}")]
    Io(#[from] io::Error),
}

/// How many digests may be entered at a time, at most: each has the place of its first byte.
const PLACES: usize = 256;

/// The blobs of one data directory.
#[derive(Debug, Clone)]
pub struct Blobs {
    root: PathBuf,
    /// One at a time puts bytes under a digest, or takes them away, and has their entry written meanwhile.
    entering: Arc<[Mutex<()>; PLACES]>,
}

/// The right to put bytes under some digests and to remove them, until it is dropped.
pub struct Alone<'a>(
    #[allow(dead_code, reason = "what counts is that they are held")] Vec<MutexGuard<'a, ()>>,
);

/// Bytes on their way in; dropping it throws them away.
pub struct Upload {
    root: PathBuf,
    temporary: PathBuf,
    file: File,
    hash: Sha256,
    bytes: u64,
}

/// What was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// The bytes' digest.
    pub digest: Digest,
    /// How many.
    pub bytes: u64,
    /// Whether they were not there before.
    pub is_new: bool,
}

impl Blobs {
    /// The blobs of a data directory; leftovers of broken uploads are removed.
    ///
    /// # Errors
    /// What the disk says.
    pub fn open(data: &Path) -> io::Result<Self> {
        let root = data.join("blobs");
        let incoming = root.join("incoming");
        std::fs::create_dir_all(root.join("sha256"))?;
        if incoming.exists() {
            std::fs::remove_dir_all(&incoming)?;
        }
        std::fs::create_dir_all(&incoming)?;
        Ok(Blobs { root, entering: Arc::new(std::array::from_fn(|_| Mutex::new(()))) })
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        path(&self.root, digest)
    }

    /// Waits until nobody else enters or removes bytes of these digests. Whoever enters some holds this from before they get
    /// their name until their entry is written or refused, so that what one finds here nobody takes away any more.
    pub async fn alone(&self, digests: &[Digest]) -> Alone<'_> {
        // In one order, so that no two wait for each other.
        let places: BTreeSet<usize> = digests.iter().map(|digest| usize::from(digest.0[0])).collect();
        let mut held = Vec::with_capacity(places.len());
        for place in places {
            held.push(self.entering[place].lock().await);
        }
        Alone(held)
    }

    /// How many bytes a blob has, if it is here.
    ///
    /// # Errors
    /// What the disk says.
    pub async fn len(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        len(&self.path(digest)).await
    }

    /// How many bytes a blob has that is here and stays: nobody is about to have its entry refused.
    ///
    /// # Errors
    /// What the disk says.
    pub async fn kept(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        let _alone = self.alone(&[*digest]).await;
        self.len(digest).await
    }

    /// Removes bytes that nothing names.
    ///
    /// # Errors
    /// What the disk says; that they are not there is none.
    pub async fn remove(&self, digest: &Digest) -> Result<(), Error> {
        match fs::remove_file(self.path(digest)).await {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e.into()),
            _ => Ok(()),
        }
    }

    /// Begins to take bytes in.
    ///
    /// # Errors
    /// What the disk says.
    pub async fn upload(&self) -> Result<Upload, Error> {
        let mut name = [0; 16];
        rand::Rng::fill_bytes(&mut rand::rng(), &mut name);
        let temporary = self.root.join("incoming").join(hex::encode(name));
        let file = File::create_new(&temporary).await?;
        Ok(Upload { root: self.root.clone(), temporary, file, hash: Sha256::new(), bytes: 0 })
    }

    /// Opens a blob for one who checks what comes against its name.
    ///
    /// # Errors
    /// [`Error::NotFound`], or what the disk says.
    pub async fn open_unchecked(&self, digest: &Digest) -> Result<(File, u64), Error> {
        match File::open(self.path(digest)).await {
            Ok(file) => {
                let bytes = file.metadata().await?.len();
                Ok((file, bytes))
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(Error::NotFound(*digest)),
            Err(e) => Err(e.into()),
        }
    }

    /// Opens a blob whose whole content has just been checked against its name.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Damaged`], or what the disk says.
    pub async fn open_checked(&self, digest: &Digest) -> Result<(File, u64), Error> {
        let (mut file, _) = self.open_unchecked(digest).await?;
        let (mut hash, mut piece, mut bytes) = (Sha256::new(), vec![0; PIECE_BYTES], 0);
        loop {
            match file.read(&mut piece).await? {
                0 => break,
                n => {
                    hash.update(&piece[..n]);
                    bytes += n as u64;
                }
            }
        }
        if hash.finalize()[..] != digest.0[..] {
            return Err(Error::Damaged(*digest));
        }
        file.rewind().await?;
        Ok((file, bytes))
    }
}

impl Upload {
    /// The digest of the bytes so far.
    pub fn digest(&self) -> Digest {
        Digest(self.hash.clone().finalize().into())
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`Error::TooLarge`], or what the disk says.
    pub async fn write(&mut self, piece: &[u8]) -> Result<(), Error> {
        self.bytes += piece.len() as u64;
        if self.bytes > ARTIFACT_BYTES_MAX {
            return Err(Error::TooLarge);
        }
        self.hash.update(piece);
        Ok(self.file.write_all(piece).await?)
    }

    /// Puts the bytes under their name, durably; `wanted` is the digest that they must have.
    ///
    /// # Errors
    /// [`Error::WrongDigest`], or what the disk says; the bytes are gone then.
    pub async fn finish(mut self, wanted: Option<Digest>) -> Result<Stored, Error> {
        let digest = Digest(std::mem::take(&mut self.hash).finalize().into());
        match wanted.filter(|wanted| *wanted != digest) {
            Some(wanted) => Err(Error::WrongDigest { wanted, got: digest }),
            None => self.put(digest).await,
        }
    }

    async fn put(&mut self, digest: Digest) -> Result<Stored, Error> {
        let path = path(&self.root, &digest);
        let is_new = len(&path).await?.is_none();
        self.file.flush().await?;
        self.file.sync_all().await?;
        let dir = path.parent().expect("a blob lies in a directory");
        fs::create_dir_all(dir).await?;
        fs::rename(&self.temporary, &path).await?;
        for dir in [dir, &self.root.join("sha256")] {
            File::open(dir).await?.sync_all().await?;
        }
        Ok(Stored { digest, bytes: self.bytes, is_new })
    }

    /// How many bytes there are so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Upload {
    /// Where its bytes have their name by now there is nothing to remove. A leftover is removed at the next start.
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.temporary);
    }
}

fn path(root: &Path, digest: &Digest) -> PathBuf {
    let hex = digest.hex();
    root.join("sha256").join(&hex[..2]).join(&hex[2..])
}

async fn len(path: &Path) -> Result<Option<u64>, Error> {
    match fs::metadata(path).await {
        Ok(meta) => Ok(Some(meta.len())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bytes_come_back_under_their_digest_and_damage_is_named() {
        let dir = tempfile::tempdir().expect("a directory");
        let blobs = Blobs::open(dir.path()).expect("opens");
        let digest = Digest::of(b"artel");
        let store = async |wanted| {
            let mut upload = blobs.upload().await?;
            upload.write(b"art").await?;
            upload.write(b"el").await?;
            upload.finish(wanted).await
        };
        assert!(matches!(store(Some(Digest([0; 32]))).await, Err(Error::WrongDigest { .. })));
        assert_eq!(blobs.len(&digest).await.expect("no fault"), None);
        assert_eq!(store(Some(digest)).await.expect("stored"), Stored { digest, bytes: 5, is_new: true });
        assert!(!store(None).await.expect("stored").is_new);
        assert_eq!(blobs.open_checked(&digest).await.expect("there").1, 5);
        std::fs::write(blobs.path(&digest), b"arteL").expect("a flipped bit");
        assert!(matches!(blobs.open_checked(&digest).await, Err(Error::Damaged(d)) if d == digest));
        assert!(matches!(blobs.open_checked(&Digest([1; 32])).await, Err(Error::NotFound(_))));
        assert_eq!(std::fs::read_dir(dir.path().join("blobs/incoming")).expect("there").count(), 0);
    }

    #[tokio::test]
    async fn bytes_that_are_not_finished_leave_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        let blobs = Blobs::open(dir.path()).expect("opens");
        let mut upload = blobs.upload().await.expect("room");
        upload.write(b"half").await.expect("room");
        drop(upload);
        assert_eq!(std::fs::read_dir(dir.path().join("blobs/incoming")).expect("there").count(), 0);
    }

    #[tokio::test]
    async fn one_at_a_time_enters_bytes_of_a_digest() {
        let dir = tempfile::tempdir().expect("a directory");
        let blobs = Blobs::open(dir.path()).expect("opens");
        let digest = |n: u8| Digest([n; 32]);
        let second = [digest(1), digest(3)];
        let first = blobs.alone(&[digest(2), digest(1), digest(2)]).await;
        let mut second = std::pin::pin!(blobs.alone(&second));
        assert!(look_once(second.as_mut()).is_none(), "one digest is taken");
        drop(first);
        assert!(look_once(second.as_mut()).is_some());
        let held = blobs.alone(&[digest(4)]).await;
        let kept = digest(4);
        assert!(look_once(std::pin::pin!(blobs.kept(&kept))).is_none(), "its entry may be refused yet");
        drop(held);
        assert_eq!(blobs.kept(&kept).await.expect("no fault"), None);
    }

    /// One look at a future.
    fn look_once<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
        match future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        }
    }

    #[tokio::test]
    async fn every_flipped_bit_of_a_blob_is_found() {
        let dir = tempfile::tempdir().expect("a directory");
        let blobs = Blobs::open(dir.path()).expect("opens");
        let bytes: Vec<u8> = (0..200_u8).collect();
        let mut upload = blobs.upload().await.expect("room");
        upload.write(&bytes).await.expect("room");
        let digest = upload.finish(None).await.expect("stored").digest;
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(blobs.path(&digest), &flipped).expect("written");
            let found = blobs.open_checked(&digest).await;
            assert!(matches!(found, Err(Error::Damaged(named)) if named == digest), "bit {bit}");
        }
        std::fs::write(blobs.path(&digest), &bytes[..199]).expect("written");
        assert!(blobs.open_checked(&digest).await.is_err(), "a short one");
        std::fs::write(blobs.path(&digest), &bytes).expect("written");
        assert!(blobs.open_checked(&digest).await.is_ok(), "as it was");
    }
}
