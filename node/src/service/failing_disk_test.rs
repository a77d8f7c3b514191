//! A node whose disk fails a sync: nobody knows whether what was being written is kept. It is, here, and everybody who
//! follows must hear of it once the journal is opened again.
#![allow(clippy::unwrap_used)]

use super::home_fixture::{Home, PATIENCE, home_on, operator, read};
use artel_audit::files::{Access, File, Files, Lock};
use artel_audit::os::OsFiles;
use artel_federation::Fact;
use artel_web::types::event::EventQuery;
use artel_web::{Code, Service as _};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A disk on which syncs of segments fail while it is broken; what was written can be read all the same.
struct FailingDisk {
    files: OsFiles,
    broken: Arc<AtomicBool>,
}

struct FailingFile {
    file: Arc<dyn File>,
    broken: Arc<AtomicBool>,
}

impl Files for FailingDisk {
    fn open(&self, path: &str, access: Access) -> io::Result<Arc<dyn File>> {
        let file = self.files.open(path, access)?;
        let is_segment = path.ends_with(".seg");
        Ok(if is_segment { Arc::new(FailingFile { file, broken: self.broken.clone() }) } else { file })
    }
    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.files.list(dir)
    }
    fn create_dir(&self, dir: &str) -> io::Result<()> {
        self.files.create_dir(dir)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.files.rename(from, to)
    }
    fn remove(&self, path: &str) -> io::Result<()> {
        self.files.remove(path)
    }
    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.files.sync_dir(dir)
    }
    fn lock(&self, path: &str) -> io::Result<Box<dyn Lock>> {
        self.files.lock(path)
    }
    fn mode(&self, path: &str) -> io::Result<u32> {
        self.files.mode(path)
    }
}

impl File for FailingFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(bytes, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_at(bytes, offset)
    }
    fn sync_data(&self) -> io::Result<()> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(io::Error::other("the disk is broken"));
        }
        self.file.sync_data()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }
}

async fn post(home: &Home, title: &str) -> Result<artel_web::types::task::Task, Code> {
    let post = read(&format!(r#"{{"title":"{title}","requirements":{{"capabilities":["x"]}}}}"#));
    home.service.post_task(&operator(), post).await.map_err(|problem| problem.code)
}

/// Follows the events from a cursor to the head, in small pages, and says which tasks were announced.
async fn announced(home: &Home, after: &str) -> Vec<String> {
    let (mut cursor, mut found) = (after.to_owned(), Vec::new());
    loop {
        let query =
            EventQuery { after: Some(cursor.clone()), limit: 2, wait_ms: 20, ..EventQuery::default() };
        let list = tokio::time::timeout(PATIENCE, home.service.events(&operator(), query)).await;
        let list = list.expect("a poll ends when its time is up").unwrap();
        let offers = list.items.iter().filter(|event| event.event_name == "xyn.task.available");
        found.extend(offers.map(|event| event.resource.as_ref().expect("a task").id.clone()));
        match list.next_cursor {
            Some(next) if next != cursor => cursor = next,
            _ => return found,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_leaves_no_gap_and_is_not_said_to_have_done_nothing() {
    let broken = Arc::new(AtomicBool::new(false));
    let home = home_on(|files| Arc::new(FailingDisk { files, broken: broken.clone() }), &[]);
    let before = post(&home, "before").await.unwrap();
    assert_eq!(announced(&home, "0").await, [before.task_id.to_string()]);

    broken.store(true, Ordering::SeqCst);
    assert_eq!(post(&home, "during").await.unwrap_err(), Code::OutcomeUnknown);
    assert_eq!(post(&home, "down").await.unwrap_err(), Code::JournalUnavailable, "at once");
    let looked = home.service.task(&operator(), before.task_id).await.unwrap_err();
    assert_eq!(looked.code, Code::JournalUnavailable, "the node does not stop; it has no state to show");

    broken.store(false, Ordering::SeqCst);
    let asker = operator();
    while home.service.task(&asker, before.task_id).await.is_err() {
        tokio::task::yield_now().await;
    }
    for title in ["after", "and after"] {
        post(&home, title).await.unwrap();
    }
    let size = home.service.reader().size();
    let facts = (0..size).map(|index| home.service.entry(index).unwrap().fact);
    let offered = facts.filter_map(|fact| match fact {
        Fact::Offered(offer) => Some(offer.step.to_string()),
        _ => None,
    });
    let offered: Vec<String> = offered.collect();
    assert_eq!(offered.len(), 4, "what was being written was kept, and what was refused at once was not");
    assert_eq!(announced(&home, "0").await, offered, "whoever follows hears of everything in the journal");
    assert_eq!(
        announced(&home, &(size - 1).to_string()).await,
        Vec::<String>::new(),
        "and waits at its head"
    );
}
