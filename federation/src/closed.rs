//! A run that is over. It never changes again, and is written down more than once: by the index as soon as it ended, and by
//! each snapshot for as long as it is recent. So it is encoded once, and decoded only when somebody asks for it.

use crate::run::Run;
use artel_protocol::codec::{self, Encode};
use artel_protocol::id::RunId;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// A run that is over, as it ended, and its encoding; either is made when it is first asked for.
pub struct ClosedRun {
    id: RunId,
    steps: usize,
    bytes: u64,
    run: OnceLock<Option<Arc<Run>>>,
    encoded: OnceLock<Box<[u8]>>,
}

/// Its form in a snapshot: what is kept of it beside its encoding, and that.
type Row<Bytes> = (RunId, u64, u64, Bytes);

impl ClosedRun {
    /// A run that has just ended.
    pub fn new(run: Arc<Run>) -> Self {
        ClosedRun {
            id: run.id,
            steps: run.steps.len(),
            bytes: run.bytes(),
            run: OnceLock::from(Some(run)),
            encoded: OnceLock::new(),
        }
    }

    /// Its id.
    pub fn id(&self) -> RunId {
        self.id
    }

    /// How many steps it has.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// What it counts, as [`Run::bytes`] has it.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The run; `None` only where a snapshot held bytes that are none.
    pub fn run(&self) -> Option<&Arc<Run>> {
        let decode = || codec::decode_large(self.encoded.get()?).ok().map(Arc::new);
        self.run.get_or_init(decode).as_ref()
    }

    /// Its encoding, as [`codec::encode_large_into`] has it.
    pub fn encoded(&self) -> &[u8] {
        self.encoded.get_or_init(|| {
            let mut bytes = Vec::new();
            if let Some(Some(run)) = self.run.get() {
                codec::encode_large_into(run.as_ref(), &mut bytes);
            }
            bytes.into_boxed_slice()
        })
    }

    /// What stands in a snapshot.
    pub(crate) fn row(&self) -> impl Encode {
        let row: Row<&[u8]> = (self.id, self.steps as u64, self.bytes, self.encoded());
        row
    }

    /// The run of a row.
    pub(crate) fn from_row((id, steps, bytes, encoded): Row<Vec<u8>>) -> Self {
        let (run, encoded) = (OnceLock::new(), OnceLock::from(encoded.into_boxed_slice()));
        ClosedRun { id, steps: steps as usize, bytes, run, encoded }
    }
}

impl PartialEq for ClosedRun {
    fn eq(&self, other: &Self) -> bool {
        self.run() == other.run()
    }
}

impl fmt::Debug for ClosedRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.run().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Json;
    use crate::commitment::Salt;
    use crate::fact::Poster;
    use artel_protocol::time::Wall;

    fn run() -> Arc<Run> {
        Arc::new(Run {
            id: RunId::new(Wall(7), [3; 9]),
            poster: Poster::Operator,
            name: "over".into(),
            inputs: Json::new(*b"{}"),
            priority: 0,
            correlation: None,
            created: Wall(7),
            posted_at: 1,
            post_key: None,
            steps: Vec::new(),
            attempts_max: 1,
            lapses_max: 1,
            salt: Salt([0; 16]),
            cancelled: false,
            ended: Some(Wall(9)),
            trimmed: false,
        })
    }

    fn stored(closed: &ClosedRun) -> ClosedRun {
        let bytes = codec::encode(&closed.row());
        ClosedRun::from_row(codec::decode_own(&bytes).expect("its own form"))
    }

    #[test]
    fn a_snapshot_holds_it_and_it_counts_the_same_without_being_decoded() {
        let closed = ClosedRun::new(run());
        let kept = stored(&closed);
        assert_eq!((kept.id(), kept.steps(), kept.bytes()), (closed.id(), closed.steps(), closed.bytes()));
        assert_eq!(kept.encoded(), closed.encoded());
        assert!(kept.run.get().is_none(), "nobody has asked for it");
        assert_eq!(kept.run(), Some(&run()));
        assert_eq!(codec::encode(&stored(&kept).row()), codec::encode(&closed.row()));
    }

    #[test]
    fn bytes_that_are_no_run_are_no_run() {
        let row = (RunId::new(Wall(7), [3; 9]), 0, 9, vec![0xff; 40]);
        assert_eq!(ClosedRun::from_row(row).run(), None);
    }
}
