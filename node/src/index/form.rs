//! The form of what stands in the index: rows of another program's form are not read, the index is built anew.

use super::open_sound;
use artel_audit::index::{Batch, IndexError, KvStore, SledStore, Tree};
use artel_federation::STATE_FORM;
use std::path::Path;

/// The one row of this tree is the form.
const FORMS: Tree = Tree(7);
const KEY: &[u8] = b"form";

/// Opens what is on disk and checks it; what is damaged or of another form is built anew from the journal.
pub(super) fn open_of_this_form(dir: &Path) -> Result<SledStore, IndexError> {
    of_this_form(open_sound(dir)?)
}

/// Rows of closed runs are encoded as in a snapshot, so their form is a snapshot's.
fn of_this_form(store: SledStore) -> Result<SledStore, IndexError> {
    if store.get(FORMS, KEY)?.as_deref() == Some(&STATE_FORM.to_le_bytes()) {
        return Ok(store);
    }
    if store.position()? > 0 {
        tracing::info!("the index is of another version's form and is built anew");
        store.clear()?;
    }
    let mut form = Batch::new(0);
    form.put(FORMS, KEY, &STATE_FORM.to_le_bytes())?;
    store.apply(form)?;
    Ok(store)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_of_another_form_is_empty_again_and_one_of_this_form_is_kept() {
        let dir = tempfile::tempdir().expect("a directory");
        let open = || open_of_this_form(dir.path()).expect("a store");
        let write = |form: Option<u32>| {
            let mut batch = Batch::new(9);
            batch.put(Tree(1), b"a run", b"in its form").expect("small");
            if let Some(form) = form {
                batch.put(FORMS, KEY, &form.to_le_bytes()).expect("small");
            }
            let store = open();
            store.apply(batch).expect("written");
            store.sync().expect("durable");
        };
        write(None);
        assert_eq!(open().position().expect("read"), 9);
        for _ in 0..2 {
            write(Some(STATE_FORM - 1));
            let store = open();
            assert_eq!(store.position().expect("read"), 0);
            assert_eq!(store.get(Tree(1), b"a run").expect("read"), None);
        }
        write(None);
        assert_eq!(open().position().expect("read"), 9);
    }
}
