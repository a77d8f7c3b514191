//! The form of what stands in the index: rows of another program's form are not read, the index is built anew.

use super::{FORMS, open_sound};
use artel_audit::index::{Batch, IndexError, KvStore, SledStore};
use artel_federation::STATE_FORM;
use std::path::Path;

/// The key of the form.
const KEY: &[u8] = b"form";

/// The form of the index's own rows. It goes up when what stands under a key changes.
const ROWS_FORM: u32 = 3;

/// Opens what is on disk and checks it; what is damaged or of another form is built anew from the journal.
pub(super) fn open_of_this_form(dir: &Path) -> Result<SledStore, IndexError> {
    of_this_form(open_sound(dir)?)
}

fn of_this_form(store: SledStore) -> Result<SledStore, IndexError> {
    let ours = form(STATE_FORM, ROWS_FORM);
    if store.get(FORMS, KEY)?.as_deref() == Some(&ours) {
        return Ok(store);
    }
    if store.position()? > 0 {
        tracing::info!("the index is of another version's form and is built anew");
        store.clear()?;
    }
    let mut batch = Batch::new(0);
    batch.put(FORMS, KEY, &ours)?;
    store.apply(batch)?;
    Ok(store)
}

/// Rows of closed runs are encoded as in a snapshot, so a snapshot's form is a part of theirs.
fn form(state: u32, rows: u32) -> [u8; 8] {
    let mut form = [0; 8];
    form[..4].copy_from_slice(&state.to_le_bytes());
    form[4..].copy_from_slice(&rows.to_le_bytes());
    form
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_audit::index::Tree;

    #[test]
    fn an_index_of_another_form_is_empty_again_and_one_of_this_form_is_kept() {
        let dir = tempfile::tempdir().expect("a directory");
        let open = || open_of_this_form(dir.path()).expect("a store");
        let write = |form: Option<&[u8]>| {
            let mut batch = Batch::new(9);
            batch.put(Tree(1), b"a run", b"in its form").expect("small");
            if let Some(form) = form {
                batch.put(FORMS, KEY, form).expect("small");
            }
            let store = open();
            store.apply(batch).expect("written");
            store.sync().expect("durable");
        };
        write(None);
        assert_eq!(open().position().expect("read"), 9);
        let (older_state, older_rows) = (form(STATE_FORM - 1, ROWS_FORM), form(STATE_FORM, ROWS_FORM - 1));
        for other in [&older_state[..], &older_rows, &STATE_FORM.to_le_bytes()] {
            write(Some(other));
            let store = open();
            assert_eq!(store.position().expect("read"), 0);
            assert_eq!(store.get(Tree(1), b"a run").expect("read"), None);
        }
        write(None);
        assert_eq!(open().position().expect("read"), 9);
    }
}
