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

/// The most live streams of one principal, which are its open pages, over all its sessions. A page beyond it gets none.
const STREAMS_OF_ONE_MAX: usize = 16;

/// How many of all live streams are for the operator alone: a few browsers' pages.
const STREAMS_OF_OPERATOR: usize = 16;

/// The share of all live streams that the operator has at least, where there are few: one in so many.
const OPERATORS_SHARE: usize = 4;

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
    /// Its principal's places among the live streams, which all sessions of one share.
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
    /// Places among the live streams for agents; the operator's are apart.
    streams: Arc<Semaphore>,
    operators: Arc<Semaphore>,
}

impl Sessions {
    pub fn new(options: &Options) -> Self {
        let kept_back = STREAMS_OF_OPERATOR.min(options.streams_max.div_ceil(OPERATORS_SHARE));
        Sessions {
            kept: Mutex::default(),
            quiet: options.session,
            most: options.sessions_max,
            streams: Arc::new(Semaphore::new(options.streams_max - kept_back)),
            operators: Arc::new(Semaphore::new(kept_back)),
        }
    }

    /// Begins a session and gives its id. `expires` is when the credential does. Where there are as many as may be, it takes
    /// the place of the agents' session that was quiet longest: who is there keeps coming back, and strangers who sign in with
    /// many keys cannot shut others out.
    pub fn begin(&self, principal: Principal, name: String, expires: Option<Wall>, now: Wall) -> String {
        let (id, moment) = (secret(), Instant::now());
        let until = expires.and_then(|at| moment.checked_add(Duration::from_millis(at.since_ms(now))));
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        retain(&mut kept, |kept| !kept.is_over(moment, self.quiet));
        let own = |kept: &Kept| who(&kept.session.principal) == who(&principal);
        let streams = kept.values().find(|kept| own(kept)).map(|kept| Arc::clone(&kept.session.streams));
        let session = Session {
            principal,
            name,
            form_token: secret(),
            ended: CancellationToken::new(),
            streams: streams.unwrap_or_else(|| Arc::new(Semaphore::new(STREAMS_OF_ONE_MAX))),
        };
        if kept.values().filter(|kept| own(kept)).count() >= SESSIONS_OF_ONE_MAX {
            end_quietest(&mut kept, own);
        } else if kept.len() >= self.most {
            end_quietest(&mut kept, |kept| kept.session.principal != Principal::Operator);
        }
        kept.insert(Key::of(&id), Kept { session: Arc::new(session), used: moment, until });
        id
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
    /// [`Code::Overloaded`] where all are taken, or all of this principal.
    pub fn stream(&self, session: &Session) -> Result<Stream, Problem> {
        let own = Arc::clone(&session.streams).try_acquire_owned();
        let any = match session.principal {
            Principal::Operator => Arc::clone(&self.operators)
                .try_acquire_owned()
                .or_else(|_| Arc::clone(&self.streams).try_acquire_owned()),
            Principal::Agent { .. } | Principal::Anonymous => Arc::clone(&self.streams).try_acquire_owned(),
        };
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

/// Ends the session of these that was quiet longest.
fn end_quietest(all: &mut HashMap<Key, Kept>, of: impl Fn(&Kept) -> bool) {
    let quietest = all.iter().filter(|(_, kept)| of(kept)).min_by_key(|(_, kept)| kept.used);
    let quietest = quietest.map(|(key, _)| *key);
    quietest.and_then(|key| all.remove(&key)).inspect(Kept::end);
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

    fn begin(sessions: &Sessions, who: Principal) -> Key {
        Key::of(&sessions.begin(who, "n".into(), None, Wall(0)))
    }

    #[test]
    fn one_session_more_than_one_may_have_ends_its_quietest() {
        let sessions = sessions(4_096);
        let first = begin(&sessions, agent(1));
        let first_session = sessions.find(&first).expect("there");
        let second = begin(&sessions, agent(1));
        sessions.find(&first).expect("used again, so not the quietest");
        let others: Vec<Key> = (2..=16).map(|_| begin(&sessions, agent(1))).collect();
        assert!(sessions.find(&second).is_none(), "the quietest has ended");
        assert!(sessions.find(&first).is_some() && !first_session.ended.is_cancelled());
        assert!(others.iter().all(|key| sessions.find(key).is_some()));
    }

    #[test]
    fn where_all_places_are_taken_the_quietest_agent_gives_its_own() {
        let sessions = sessions(2);
        let (operator, one) = (begin(&sessions, Principal::Operator), begin(&sessions, agent(1)));
        let gone = sessions.find(&one).expect("there");
        sessions.find(&operator).expect("there");
        let two = begin(&sessions, agent(2));
        assert!(sessions.find(&one).is_none() && gone.ended.is_cancelled(), "the quietest has ended");
        assert!(sessions.find(&operator).is_some(), "agents cannot shut the operator out");
        assert!(sessions.find(&two).is_some());
        sessions.end(&two);
        assert!(sessions.find(&two).is_none());
    }

    #[test]
    fn a_session_ends_with_its_token() {
        let sessions = sessions(9);
        let id = sessions.begin(agent(1), "n".into(), Some(Wall(5)), Wall(5));
        assert!(sessions.find(&Key::of(&id)).is_none());
        let id = sessions.begin(agent(1), "n".into(), Some(Wall(60_000)), Wall(5));
        assert!(sessions.find(&Key::of(&id)).is_some());
    }

    #[test]
    fn streams_are_bounded_by_principal_and_in_all_and_some_are_the_operators() {
        let sessions = Sessions::new(&Options { streams_max: 24, ..Options::default() });
        let session = |who| sessions.find(&begin(&sessions, who)).expect("there");
        let (one, one_more, two) = (session(agent(1)), session(agent(1)), session(agent(2)));
        let mut held: Vec<Stream> = (0..16).map(|_| sessions.stream(&one).expect("a place")).collect();
        assert!(sessions.stream(&one).is_err(), "one has its share");
        assert!(sessions.stream(&one_more).is_err(), "in whichever session");
        held.extend((0..2).map(|_| sessions.stream(&two).expect("a place")));
        assert!(sessions.stream(&two).is_err(), "all that are agents' are taken");
        let operator = session(Principal::Operator);
        let operators: Vec<Stream> = (0..6).map(|_| sessions.stream(&operator).expect("kept back")).collect();
        assert!(sessions.stream(&operator).is_err(), "no more than there are in all");
        held.clear();
        assert!(sessions.stream(&two).is_ok() && sessions.stream(&one_more).is_ok(), "places are given back");
        assert_eq!(operators.len(), 6);
    }
}
