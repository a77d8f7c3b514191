//! Who is signed in to the pages. A session is a random id in a cookie that says nothing; what it stands for is here, in
//! memory, bounded, and gone with the node. No token is kept.

use crate::options::Options;
use crate::problem::{Code, Problem};
use crate::service::Principal;
use artel_protocol::id::Digest;
use artel_protocol::key::AgentId;
use artel_protocol::time::Wall;
use rand::Rng as _;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// The most sessions of one principal; one more ends the one that was quiet longest. Fewer, and a person with a few
/// browsers is signed out; more, and one agent takes the room of others.
const SESSIONS_OF_ONE_MAX: usize = 16;

/// The most live streams of one session, which are its open pages. A page beyond it gets none.
const STREAMS_OF_ONE_MAX: usize = 16;

/// Bytes of a session's id and of its form token: 256 bits, so neither can be guessed.
const SECRET_BYTES: usize = 32;

/// Somebody who is signed in.
#[derive(Debug)]
pub(crate) struct Session {
    /// Who.
    pub principal: Principal,
    /// What the pages call them.
    pub name: String,
    /// What every form of these pages bears; a page of another name cannot know it.
    pub form_token: String,
    /// Cancelled when the session ends.
    pub ended: CancellationToken,
    streams: Arc<Semaphore>,
}

/// A session's key in memory: its id's digest, so that looking for it tells nothing of the id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key(Digest);

impl Key {
    /// The key of an id.
    pub fn of(id: &str) -> Self {
        Key(Digest::of(id.as_bytes()))
    }
}

#[derive(Debug)]
struct Kept {
    session: Arc<Session>,
    /// When it was last used.
    used: Instant,
    /// When it ends whatever happens: with the agent's token.
    until: Option<Instant>,
}

impl Kept {
    fn end(&self) {
        self.session.ended.cancel();
    }

    fn is_over(&self, now: Instant, quiet: Duration) -> bool {
        now.duration_since(self.used) > quiet || self.until.is_some_and(|until| now >= until)
    }
}

/// A place among the live streams; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Stream(#[expect(dead_code, reason = "held, not read")] [OwnedSemaphorePermit; 2]);

/// All sessions.
#[derive(Debug)]
pub(crate) struct Sessions {
    kept: Mutex<HashMap<Key, Kept>>,
    quiet: Duration,
    most: usize,
    streams: Arc<Semaphore>,
}

impl Sessions {
    pub fn new(options: &Options) -> Self {
        Sessions {
            kept: Mutex::default(),
            quiet: options.session,
            most: options.sessions_max,
            streams: Arc::new(Semaphore::new(options.streams_max)),
        }
    }

    /// Begins a session and gives its id. `expires` is when the credential does.
    ///
    /// # Errors
    /// [`Code::Overloaded`] where as many agents are signed in as may be.
    pub fn begin(
        &self,
        principal: Principal,
        name: String,
        expires: Option<Wall>,
        now: Wall,
    ) -> Result<String, Problem> {
        let (id, moment) = (secret(), Instant::now());
        let until = expires.and_then(|at| moment.checked_add(Duration::from_millis(at.since_ms(now))));
        let session = Session {
            principal,
            name,
            form_token: secret(),
            ended: CancellationToken::new(),
            streams: Arc::new(Semaphore::new(STREAMS_OF_ONE_MAX)),
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        retain(&mut kept, |kept| !kept.is_over(moment, self.quiet));
        let own = |kept: &&Kept| who(&kept.session.principal) == who(&principal);
        if kept.values().filter(own).count() >= SESSIONS_OF_ONE_MAX {
            let quietest = kept.iter().filter(|(_, kept)| own(kept)).min_by_key(|(_, kept)| kept.used);
            let quietest = quietest.map(|(key, _)| *key);
            quietest.and_then(|key| kept.remove(&key)).inspect(Kept::end);
        } else if kept.len() >= self.most && principal != Principal::Operator {
            let message = "as many people are signed in here as may be; try again when some have signed out";
            return Err(Problem::edge_saying(Code::Overloaded, message));
        }
        kept.insert(Key::of(&id), Kept { session: Arc::new(session), used: moment, until });
        Ok(id)
    }

    /// The session of a key, which is used by this.
    pub fn find(&self, key: &Key) -> Option<Arc<Session>> {
        let now = Instant::now();
        let mut all = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = all.get_mut(key)?;
        if kept.is_over(now, self.quiet) {
            all.remove(key).inspect(Kept::end);
            return None;
        }
        kept.used = now;
        Some(Arc::clone(&kept.session))
    }

    /// Ends a session.
    pub fn end(&self, key: &Key) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).remove(key).inspect(Kept::end);
    }

    /// Takes a place among the live streams.
    ///
    /// # Errors
    /// [`Code::Overloaded`] where all are taken, or all of this session.
    pub fn stream(&self, session: &Session) -> Result<Stream, Problem> {
        let own = Arc::clone(&session.streams).try_acquire_owned();
        let any = Arc::clone(&self.streams).try_acquire_owned();
        match (own, any) {
            (Ok(own), Ok(any)) => Ok(Stream([own, any])),
            _ => Err(Problem::edge_saying(Code::Overloaded, "too many pages are watched live; close some"))
                .map_err(|problem| problem.retry_after(5)),
        }
    }
}

fn retain(all: &mut HashMap<Key, Kept>, keep: impl Fn(&Kept) -> bool) {
    all.retain(|_, kept| {
        let keeps = keep(kept);
        if !keeps {
            kept.end();
        }
        keeps
    });
}

/// The principal, whatever the token.
fn who(principal: &Principal) -> Option<AgentId> {
    match principal {
        Principal::Agent { id, .. } => Some(*id),
        Principal::Operator | Principal::Anonymous => None,
    }
}

/// 256 random bits in hex.
pub(crate) fn secret() -> String {
    let mut bytes = [0; SECRET_BYTES];
    rand::rng().fill_bytes(&mut bytes);
    Digest(bytes).hex()
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_protocol::key::SecretKey;

    fn sessions(most: usize) -> Sessions {
        Sessions::new(&Options { sessions_max: most, streams_max: 20, ..Options::default() })
    }

    fn agent(n: u8) -> Principal {
        Principal::Agent { id: AgentId(SecretKey::from_seed(&[n; 32]).public()), serial: 1 }
    }

    fn begin(sessions: &Sessions, who: Principal) -> Result<Key, Code> {
        sessions.begin(who, "n".into(), None, Wall(0)).map(|id| Key::of(&id)).map_err(|p| p.code)
    }

    #[test]
    fn one_session_more_than_one_may_have_ends_its_quietest() {
        let sessions = sessions(4_096);
        let first = begin(&sessions, agent(1)).expect("room");
        let first_session = sessions.find(&first).expect("there");
        let second = begin(&sessions, agent(1)).expect("room");
        sessions.find(&first).expect("used again, so not the quietest");
        let others: Vec<Key> = (2..=16).map(|_| begin(&sessions, agent(1)).expect("room")).collect();
        assert!(sessions.find(&second).is_none(), "the quietest has ended");
        assert!(sessions.find(&first).is_some() && !first_session.ended.is_cancelled());
        assert!(others.iter().all(|key| sessions.find(key).is_some()));
    }

    #[test]
    fn agents_cannot_shut_the_operator_out() {
        let sessions = sessions(2);
        let (one, _two) =
            (begin(&sessions, agent(1)).expect("room"), begin(&sessions, agent(2)).expect("room"));
        assert_eq!(begin(&sessions, agent(3)), Err(Code::Overloaded));
        assert!(begin(&sessions, Principal::Operator).is_ok());
        sessions.end(&one);
        assert!(sessions.find(&one).is_none());
    }

    #[test]
    fn a_session_ends_with_its_token() {
        let sessions = sessions(9);
        let id = sessions.begin(agent(1), "n".into(), Some(Wall(5)), Wall(5)).expect("room");
        assert!(sessions.find(&Key::of(&id)).is_none());
        let id = sessions.begin(agent(1), "n".into(), Some(Wall(60_000)), Wall(5)).expect("room");
        assert!(sessions.find(&Key::of(&id)).is_some());
    }

    #[test]
    fn streams_are_bounded_by_session_and_in_all() {
        let sessions = sessions(9);
        let session = |who| sessions.find(&begin(&sessions, who).expect("room")).expect("there");
        let (one, two) = (session(agent(1)), session(agent(2)));
        let mut held: Vec<Stream> = (0..16).map(|_| sessions.stream(&one).expect("a place")).collect();
        assert!(sessions.stream(&one).is_err(), "one has its share");
        held.extend((0..4).map(|_| sessions.stream(&two).expect("a place")));
        assert!(sessions.stream(&two).is_err(), "all are taken");
        held.clear();
        assert!(sessions.stream(&two).is_ok(), "places are given back");
    }
}
