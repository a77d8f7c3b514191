//! Which processes wait for a step: blank ones, and ones that have loaded the module which is expected next. What is to be started,
//! loaded or let go is decided here; the runner does it.
//!
//! A process that has loaded a module is for steps of that module alone.

use artel_protocol::id::Digest;
use std::collections::VecDeque;
use std::sync::Arc;

/// The processes that wait. `C` is one of them; one that is dropped ends.
#[derive(Debug)]
pub(crate) struct Pool<C> {
    /// How many are to wait of each sort.
    size: usize,
    blank: VecDeque<C>,
    /// How many blank ones are being started.
    coming: usize,
    expected: Option<Expected<C>>,
    /// The module of the step before.
    last: Option<Digest>,
}

/// A module that is expected, and the processes that have loaded it.
#[derive(Debug)]
struct Expected<C> {
    module: Digest,
    code: Arc<[u8]>,
    /// How many are to wait: one for a step that was announced, as many as of the blank ones where steps of it come in a row.
    wanted: usize,
    loaded: VecDeque<C>,
    coming: usize,
}

/// What a pool lacks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Missing<C> {
    /// A blank process.
    Blank,
    /// One that has loaded this module: `by`, which was blank, or a new one.
    Loaded { module: Digest, code: Arc<[u8]>, by: Option<C> },
}

impl<C> Pool<C> {
    /// An empty pool.
    pub fn new(size: usize) -> Self {
        Pool { size, blank: VecDeque::new(), coming: 0, expected: None, last: None }
    }

    /// A process for a step, and whether it has loaded the step's module. A module that comes twice in a row is expected again.
    pub fn take(&mut self, module: Digest, code: &Arc<[u8]>) -> Option<(C, bool)> {
        let again = self.last.replace(module) == Some(module);
        let loaded = self.expected.as_mut().filter(|expected| expected.module == module);
        let taken = loaded.and_then(|expected| expected.loaded.pop_front());
        if again {
            self.want(module, code.clone(), self.size);
        } else if self.expected.as_ref().is_some_and(|expected| expected.module == module) {
            // It was announced once, and has come.
            self.expected = None;
        }
        match taken {
            Some(child) => Some((child, true)),
            None => self.blank.pop_front().map(|child| (child, false)),
        }
    }

    /// A step of that module will come.
    pub fn expect(&mut self, module: Digest, code: Arc<[u8]>) {
        let wanted = self.expected.as_ref().filter(|expected| expected.module == module);
        self.want(module, code, wanted.map_or(1, |expected| expected.wanted).min(self.size));
    }

    fn want(&mut self, module: Digest, code: Arc<[u8]>, wanted: usize) {
        match &mut self.expected {
            Some(expected) if expected.module == module => expected.wanted = wanted,
            // Those that have loaded another module go.
            _ => self.expected = Some(Expected { module, code, wanted, loaded: VecDeque::new(), coming: 0 }),
        }
    }

    /// What is to be started or loaded next; it counts as on its way from then on. Nothing when nothing is missing.
    pub fn missing(&mut self) -> Option<Missing<C>> {
        if let Some(expected) = &mut self.expected
            && expected.loaded.len() + expected.coming < expected.wanted
        {
            expected.coming += 1;
            let (module, code) = (expected.module, expected.code.clone());
            return Some(Missing::Loaded { module, code, by: self.blank.pop_front() });
        }
        if self.blank.len() + self.coming < self.size {
            self.coming += 1;
            return Some(Missing::Blank);
        }
        None
    }

    /// One that was missing has come. Where its module is expected no more, it goes.
    pub fn put(&mut self, module: Option<Digest>, child: C) {
        self.arrived(module);
        match (module, &mut self.expected) {
            (None, _) => self.blank.push_back(child),
            (Some(module), Some(expected)) if expected.module == module => expected.loaded.push_back(child),
            (Some(_), _) => {}
        }
    }

    /// One that was missing will not come.
    pub fn failed(&mut self, module: Option<Digest>) {
        self.arrived(module);
    }

    fn arrived(&mut self, module: Option<Digest>) {
        match (module, &mut self.expected) {
            (None, _) => self.coming = self.coming.saturating_sub(1),
            (Some(module), Some(expected)) if expected.module == module => {
                expected.coming = expected.coming.saturating_sub(1);
            }
            (Some(_), _) => {}
        }
    }

    /// Whether all wait that are to.
    pub fn is_full(&self) -> bool {
        self.blank.len() >= self.size
            && self.expected.as_ref().is_none_or(|expected| expected.loaded.len() >= expected.wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fills a pool; each process is a number, and what has loaded a module keeps its own.
    fn fill(pool: &mut Pool<u32>, next: &mut u32) {
        while let Some(missing) = pool.missing() {
            let mut new = || {
                *next += 1;
                *next
            };
            match missing {
                Missing::Blank => pool.put(None, new()),
                Missing::Loaded { module, by, .. } => pool.put(Some(module), by.unwrap_or_else(new)),
            }
        }
    }

    fn code() -> Arc<[u8]> {
        Arc::from(&b"code"[..])
    }

    #[test]
    fn steps_of_one_module_in_a_row_find_it_loaded_at_one_process_each() {
        let (mut pool, mut next, module) = (Pool::new(1), 0, Digest::of(b"a"));
        fill(&mut pool, &mut next);
        let mut found = Vec::new();
        for _ in 0..4 {
            found.push(pool.take(module, &code()));
            fill(&mut pool, &mut next);
            assert!(pool.is_full());
        }
        assert_eq!(found, [Some((1, false)), Some((2, false)), Some((3, true)), Some((4, true))]);
        // Each step took one; a blank one and a loaded one wait.
        assert_eq!(next, 6);
    }

    #[test]
    fn no_process_that_has_loaded_a_module_is_given_to_another_s_step() {
        let (mut pool, mut next) = (Pool::new(2), 0);
        let modules = [Digest::of(b"a"), Digest::of(b"b"), Digest::of(b"c")];
        fill(&mut pool, &mut next);
        let mut loaded = std::collections::BTreeMap::new();
        // Every order of three steps, with and without announcing them.
        for n in 0..3_usize.pow(3) * 8 {
            for i in 0..3 {
                let module = modules[n / 8 / 3_usize.pow(i) % 3];
                if n >> i & 1 == 1 {
                    pool.expect(module, code());
                    while let Some(missing) = pool.missing() {
                        next += 1;
                        match missing {
                            Missing::Blank => pool.put(None, next),
                            Missing::Loaded { module, by, .. } => {
                                let child = by.unwrap_or(next);
                                assert_eq!(loaded.insert(child, module), None, "loaded once");
                                pool.put(Some(module), child);
                            }
                        }
                    }
                }
                if let Some((child, is_loaded)) = pool.take(module, &code()) {
                    assert_eq!(loaded.get(&child), is_loaded.then_some(&module));
                }
            }
        }
    }

    #[test]
    fn a_module_that_was_announced_is_loaded_for_one_step() {
        let (mut pool, mut next) = (Pool::new(1), 0);
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        fill(&mut pool, &mut next);
        for (module, process) in [(a, 1), (b, 2), (a, 3), (b, 4)] {
            pool.expect(module, code());
            fill(&mut pool, &mut next);
            assert_eq!(pool.take(module, &code()), Some((process, true)));
            fill(&mut pool, &mut next);
        }
        // Modules that take turns cost one process each, as ever.
        assert_eq!(next, 5);
        // A load that comes when its module is expected no more is dropped; one that fails is tried again at the next turn.
        pool.expect(a, code());
        assert!(matches!(pool.missing(), Some(Missing::Loaded { by: Some(5), .. })));
        pool.expect(b, code());
        pool.put(Some(a), 5);
        assert!(matches!(pool.missing(), Some(Missing::Loaded { module, by: None, .. }) if module == b));
        pool.failed(Some(b));
        assert!(!pool.is_full());
        assert!(matches!(pool.missing(), Some(Missing::Loaded { module, .. }) if module == b));
    }

    #[test]
    fn a_pool_of_none_has_nothing_to_start() {
        let mut pool: Pool<u32> = Pool::new(0);
        pool.expect(Digest::of(b"a"), code());
        assert_eq!(pool.take(Digest::of(b"a"), &code()), None);
        assert_eq!(pool.take(Digest::of(b"a"), &code()), None);
        assert_eq!(pool.missing(), None);
        assert!(pool.is_full());
    }
}
