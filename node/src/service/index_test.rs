//! What is written behind the journal: where it comes from, and that it heals while the node runs when a reader finds it damaged.
#![allow(clippy::unwrap_used)]

use super::home_fixture::{home, operator, read};
use crate::index::{self, Lately};
use crate::source::{SharedReader, fold};
use artel_federation::Federation;
use artel_web::Service as _;
use std::os::unix::fs::FileExt as _;

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_run_whose_block_was_damaged_is_found_again() {
    let home = home(&[]);
    let run = home.service.post_run(&operator(), read(r#"{"name":"empty"}"#)).await.unwrap().run_id;
    let index = home.service.parts().index.clone();
    let size = home.service.reader().size();
    home.eventually(async || Ok((index.is_ready() && index.position() >= size).then_some(()))).await;
    let written = index.run(&run).unwrap().unwrap();

    let heap = std::fs::File::options().write(true).open(home.dir().join("index/heap")).unwrap();
    heap.write_all_at(&[0xff], heap.metadata().unwrap().len() - 1).unwrap();
    assert!(index.run(&run).is_err(), "what was changed is not believed");
    assert!(index.runs_before(None, 9).is_err());
    let again = home.eventually(async || home.service.indexed(move |index| index.run(&run)).await).await;
    assert_eq!(again, written);
    assert!(home.dir().join("index.damaged-1").exists(), "it was moved aside");
    assert_eq!(index.runs_before(None, 9).unwrap(), [written]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_start_has_folded_makes_the_same_index_without_the_journal() {
    let (home, empty) = (home(&[]), home(&[]));
    for _ in 0..3 {
        home.service.post_run(&operator(), read(r#"{"name":"empty"}"#)).await.unwrap();
    }
    let reader = home.service.reader();
    let mut lately = Lately::since(0);
    let mut federation = Federation::new(home.source.identity, home.source.options.clone());
    fold(&reader, &mut federation, |news| lately.take(news)).unwrap();

    // A journal that holds less than the start has folded: from there it could not be.
    let journal = SharedReader::new(empty.service.reader());
    let dir = tempfile::tempdir().unwrap();
    let (feed, made) =
        index::start(dir.path().join("index"), (home.source.clone(), journal), lately).unwrap();
    home.eventually(async || Ok(made.is_ready().then_some(()))).await;
    assert_eq!(made.position(), reader.size());
    let runs = made.runs_before(None, 9).unwrap();
    assert_eq!(runs.len(), 3);
    let index = home.service.parts().index.clone();
    home.eventually(async || Ok((index.is_ready() && index.position() >= reader.size()).then_some(()))).await;
    assert_eq!(runs, index.runs_before(None, 9).unwrap());
    drop(feed);
}
