//! What is written behind the journal and found damaged by whoever reads it: it heals while the node runs, and nothing is lost.
#![allow(clippy::unwrap_used)]

use super::service_test::{home, operator, read};
use artel_web::Service as _;
use std::os::unix::fs::FileExt as _;

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_run_whose_block_was_damaged_is_found_again() {
    let home = home(&[]);
    let run = home.service.post_run(&operator(), read(r#"{"name":"empty"}"#)).await.unwrap().run_id;
    let index = home.service.parts().index.clone();
    let size = home.service.reader().size();
    home.eventually(async || Ok((index.position() >= size).then_some(()))).await;
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
