//! A small disk in memory that nodes run on, to be filled or made read-only. It is mounted in a namespace of its own or,
//! where the machine gives none but lets us mount, in ours. It goes away with this process, however that ends.

use crate::node::Artel;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Mounts a disk of the second argument's size on the first, says so, and stays until stdin ends.
const HOLD: &str = r#"mount -t tmpfs -o "size=$2" tmpfs "$1" && echo mounted && exec cat"#;

/// What fills a disk.
const FILLER: &str = "filler";

/// A small disk.
pub struct Disk {
    dir: tempfile::TempDir,
    holder: Option<Child>,
}

impl Disk {
    /// A disk of so many bytes; nothing where this machine lets nobody mount one.
    ///
    /// # Panics
    /// When there is no fresh directory to mount it on.
    pub fn new(bytes: u64) -> Option<Disk> {
        let dir = tempfile::tempdir().expect("a fresh directory");
        let mut command = Command::new("unshare");
        command.args(["-rm", "sh", "-c", HOLD, "sh"]).arg(dir.path()).arg(bytes.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        if let Ok(mut child) = command.spawn() {
            let mut line = String::new();
            let mut out = BufReader::new(child.stdout.take().expect("piped"));
            if out.read_line(&mut line).is_ok() && line == "mounted\n" {
                return Some(Disk { dir, holder: Some(child) });
            }
            let _ = child.wait();
        }
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"]).arg(dir.path());
        succeeds(command).then_some(Disk { dir, holder: None })
    }

    /// Where it is for nodes that run on it.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Where it is seen from this process.
    pub fn seen(&self) -> PathBuf {
        match &self.holder {
            Some(holder) => PathBuf::from(format!("/proc/{}/root{}", holder.id(), self.path().display())),
            None => self.path().to_owned(),
        }
    }

    /// The program, where it has this disk.
    pub fn program(&self, artel: &Artel) -> Artel {
        let inside = self.command(&[]).into_iter();
        inside.rev().fold(artel.clone(), |artel, word| artel.behind(word))
    }

    /// Makes it read-only, or writable again.
    ///
    /// # Panics
    /// When the kernel does not let us.
    pub fn read_only(&self, on: bool) {
        let how = if on { "remount,ro" } else { "remount,rw" };
        let words = self.command(&["mount", "-o", how, &self.path().display().to_string()]);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        assert!(succeeds(command), "{words:?}");
    }

    /// Fills it but for `left` bytes (in whole pages).
    ///
    /// # Panics
    /// When it cannot be written although there is room.
    pub fn fill(&self, left: u64) {
        let path = self.seen().join(FILLER);
        let mut file = fs::File::create(&path).expect("a file");
        for size in [1 << 20, 4 << 10, 1] {
            let block = vec![7; size];
            while file.write_all(&block).is_ok() {}
        }
        let full = file.metadata().expect("a file").len();
        file.set_len(full.saturating_sub(left)).expect("a shorter file");
    }

    /// Gives the room back that [`Disk::fill`] took.
    ///
    /// # Panics
    /// When it was not filled.
    pub fn free(&self) {
        fs::remove_file(self.seen().join(FILLER)).expect("room again");
    }

    /// A command line where this disk is.
    fn command(&self, words: &[&str]) -> Vec<String> {
        let enter = self.holder.as_ref().map(|holder| {
            let target = holder.id().to_string();
            ["nsenter", "--user", "--mount", "--preserve-credentials", "--target", target.as_str()]
                .map(str::to_owned)
        });
        enter.into_iter().flatten().chain(words.iter().map(|word| (*word).to_owned())).collect()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        match &mut self.holder {
            Some(holder) => {
                let _ = holder.kill();
                let _ = holder.wait();
            }
            None => {
                let mut command = Command::new("umount");
                command.arg("--lazy").arg(self.dir.path());
                succeeds(command);
            }
        }
    }
}

fn succeeds(mut command: Command) -> bool {
    command.stderr(Stdio::null()).stdout(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
