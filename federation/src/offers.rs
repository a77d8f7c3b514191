//! The open offers, ordered so that the best one for an agent is found without a look at the others: first by what is
//! asked (grouped under one required skill, and there by who posted), then by priority and age. A look costs a bounded
//! amount, whatever posters ask for.

use crate::fact::{Poster, TaskSpec};
use crate::matching::level_asked;
use crate::member::Agent;
use artel_protocol::codec;
use artel_protocol::id::{Digest, StepId};
use artel_protocol::key::{AgentId, PublicKey};
use artel_protocol::skill::Skill;
use artel_reputation::Level;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// How many groups of offers are looked at for one claim: 6 to 50 microseconds. Up to there the claim gets the best of
/// all; where there are more, the posters share the looks and each claim begins elsewhere, so that nothing is hidden for
/// long and nobody hides another's offers behind their own.
const GROUPS_LOOKED_AT_MAX: usize = 256;

/// How many offers of one group are looked at for one claim before the group is passed over, so that an agent that is
/// barred from many steps does not make each of its claims a walk through the book.
const GROUP_LOOKS_MAX: usize = 1_024;

/// How many offers of all groups are looked at for one claim, for the same reason.
const OFFERS_LOOKED_AT_MAX: usize = 4_096;

/// Place in a group: higher priority first, then the earlier post, then the step.
type Place = (Reverse<i32>, u64, StepId);

/// What a group of offers asks. The turn, a digest of the rest, stands first: so a claim that begins at any number begins
/// at a group that nobody else can choose.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Asked {
    turn: u64,
    skills: Vec<Skill>,
    level: Level,
    poster_may_claim: bool,
}

/// One poster's offers under one skill.
type Groups = BTreeMap<Asked, BTreeSet<Place>>;

/// The open offers.
#[derive(Debug, Default)]
pub struct Offers {
    named: BTreeMap<Option<String>, BTreeMap<Poster, Groups>>,
    count: usize,
}

/// What a look through the offers has found, and what it cost.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The best offer, if there is one.
    pub best: Option<StepId>,
    /// How many groups were looked at.
    groups: usize,
    /// How many offers were.
    offers: usize,
}

impl Offers {
    /// How many offers are open.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(crate) fn insert(&mut self, poster: Poster, task: &TaskSpec, place: Place) {
        let groups = self.named.entry(name(task)).or_default().entry(poster).or_default();
        if groups.entry(Asked::by(task)).or_default().insert(place) {
            self.count += 1;
        }
    }

    pub(crate) fn remove(&mut self, poster: Poster, task: &TaskSpec, place: Place) {
        let (key, asked) = (name(task), Asked::by(task));
        let Some(posters) = self.named.get_mut(&key) else { return };
        let Some(groups) = posters.get_mut(&poster) else { return };
        let Some(places) = groups.get_mut(&asked) else { return };
        if places.remove(&place) {
            self.count -= 1;
        }
        if places.is_empty() {
            groups.remove(&asked);
        }
        if groups.is_empty() {
            posters.remove(&poster);
        }
        if posters.is_empty() {
            self.named.remove(&key);
        }
    }

    /// The first offer, by priority and then age, that asks no more than the agent has and that `takes` says yes to, among
    /// the posters that `serves` says yes to. `draw` decides where to begin where there is too much to look at it all.
    pub(crate) fn best(
        &self,
        (agent, level): (&Agent, Level),
        draw: &[u8; 32],
        serves: impl Fn(Poster) -> bool,
        takes: impl Fn(StepId) -> bool,
    ) -> Found {
        let mut looked_at = self.looked_at(agent, draw);
        looked_at.retain(|(poster, _)| serves(*poster));
        // The smallest first: what they leave over is there for the others.
        looked_at.sort_by_key(|(_, groups)| groups.len());
        let begin = Asked::beginning(u64::from_le_bytes(draw[..8].try_into().expect("8 of 32 bytes")));
        let (mut looks, mut best) = (GROUPS_LOOKED_AT_MAX, None);
        let mut found = Found::default();
        for (i, (poster, groups)) in looked_at.iter().enumerate() {
            let share = (looks / (looked_at.len() - i)).max(1).min(groups.len());
            looks = looks.saturating_sub(share);
            found.groups += share;
            let own = *poster == Poster::Agent(agent.id);
            for (asked, places) in groups.range(&begin..).chain(groups.range(..&begin)).take(share) {
                if !asked.fits(agent, level) || own && !asked.poster_may_claim {
                    continue;
                }
                let left = GROUP_LOOKS_MAX.min(OFFERS_LOOKED_AT_MAX - found.offers);
                let mut look = |place: &&Place| {
                    found.offers += 1;
                    takes(place.2)
                };
                best = best.into_iter().chain(places.iter().take(left).find(&mut look)).min();
            }
        }
        found.best = best.map(|place| place.2);
        found
    }

    /// The posters whose offers are looked at for a claim: the operator and some agents under each name of the agent's
    /// skills, and where nothing is asked.
    fn looked_at(&self, agent: &Agent, draw: &[u8; 32]) -> Vec<(Poster, &Groups)> {
        let names: BTreeSet<&str> = agent.skills.iter().map(Skill::name).collect();
        let keys = std::iter::once(None).chain(names.into_iter().map(|name| Some(name.to_owned())));
        let named: Vec<_> = keys.filter_map(|key| self.named.get(&key)).collect();
        let each = (GROUPS_LOOKED_AT_MAX / named.len().max(1)).max(1);
        let begin = Poster::Agent(AgentId(PublicKey::from_bytes(*draw)));
        let mut looked_at = Vec::new();
        for posters in named {
            let agents = posters.range(begin..).chain(posters.range(..begin));
            let operator = posters.get_key_value(&Poster::Operator);
            let some = operator.into_iter().chain(agents.filter(|(p, _)| **p != Poster::Operator));
            looked_at.extend(some.take(each).map(|(poster, groups)| (*poster, groups)));
        }
        looked_at
    }
}

impl Asked {
    fn by(task: &TaskSpec) -> Self {
        let (skills, level) = (task.skills.clone(), level_asked(task));
        let digest = Digest::of(&codec::encode(&(&skills, level, task.poster_may_claim)));
        let turn = u64::from_le_bytes(digest.0[..8].try_into().expect("8 of 32 bytes"));
        Asked { turn, skills, level, poster_may_claim: task.poster_may_claim }
    }

    /// What comes before all that has this turn or a later one.
    fn beginning(turn: u64) -> Self {
        Asked { turn, skills: Vec::new(), level: Level::Novice, poster_may_claim: false }
    }

    fn fits(&self, agent: &Agent, level: Level) -> bool {
        self.level <= level
            && self.skills.iter().all(|wanted| agent.skills.iter().any(|skill| skill.meets(wanted)))
    }
}

/// The name under which an offer stands: its first skill's, so that an agent looks only under the names that it has.
fn name(task: &TaskSpec) -> Option<String> {
    task.skills.first().map(|skill| skill.name().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::task_for_nothing;

    use artel_protocol::id::RunId;
    use artel_protocol::time::Wall;

    #[derive(Default)]
    struct Book {
        offers: Offers,
        count: u64,
    }

    fn skills(names: &[&str]) -> Vec<Skill> {
        names.iter().map(|name| Skill::parse(name).expect("a skill")).collect()
    }

    fn task(names: &[&str]) -> TaskSpec {
        TaskSpec { skills: skills(names), ..task_for_nothing() }
    }

    fn id(n: u32) -> AgentId {
        AgentId(PublicKey::from_bytes(Digest::of(&n.to_le_bytes()).0))
    }

    fn agent(n: u32, names: &[&str]) -> Agent {
        Agent { skills: skills(names), capacity: 1, serial: 1, ..Agent::new(id(n), Wall(0)) }
    }

    impl Book {
        fn post(&mut self, poster: Poster, priority: i32, names: &[&str]) -> StepId {
            self.count += 1;
            let mut entropy = [0; 9];
            entropy[..8].copy_from_slice(&self.count.to_le_bytes());
            let step = RunId::new(Wall(self.count), entropy).step(0);
            self.offers.insert(poster, &task(names), (Reverse(priority), self.count, step));
            step
        }

        fn look(&self, agent: &Agent, draw: u32, takes: impl Fn(StepId) -> bool) -> Found {
            let draw = Digest::of(&draw.to_le_bytes()).0;
            self.offers.best((agent, Level::Novice), &draw, |_| true, takes)
        }
    }

    #[test]
    fn where_all_can_be_looked_at_the_best_of_all_is_found() {
        let mut book = Book::default();
        let worker = agent(0, &["code", "rust"]);
        for n in 1..100 {
            book.post(Poster::Agent(id(n)), 0, &["code", &format!("x{n}")]);
        }
        let young = book.post(Poster::Agent(id(1)), 0, &["rust"]);
        let younger = book.post(Poster::Operator, 0, &["code", "rust"]);
        let lesser = book.post(Poster::Operator, -1, &[]);
        let first = book.post(Poster::Operator, 1, &["code"]);
        let own = book.post(Poster::Agent(id(0)), 2, &["code"]);
        for draw in 0..50 {
            let best = |gone: &[StepId]| book.look(&worker, draw, |step| !gone.contains(&step)).best;
            assert_eq!(best(&[]), Some(first), "whoever posted {own} may not take it");
            assert_eq!(best(&[first]), Some(young));
            assert_eq!(best(&[first, young]), Some(younger));
            assert_eq!(best(&[first, young, younger]), Some(lesser));
        }
    }

    #[test]
    fn a_claim_costs_the_same_whatever_posters_ask_for() {
        let mut book = Book::default();
        for n in 0..20_000 {
            book.post(Poster::Agent(id(n % 500)), 0, &["code", &format!("x{n}")]);
        }
        for (n, names) in [(1_000, ["code", "rust"]), (1_001, ["code", "python"])] {
            let found = book.look(&agent(n, &names), n, |_| true);
            assert!(found.best.is_none() && found.groups <= 256, "{found:?}");
        }
        let mut book = Book::default();
        for n in 0..10_000 {
            book.post(
                Poster::Operator,
                0,
                &["code", ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"][n % 10]],
            );
        }
        let all = ["code", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
        let found = book.look(&agent(1, &all), 0, |_| false);
        assert!(found.best.is_none() && found.offers <= 4_096, "{found:?}");
    }

    #[test]
    fn one_posters_groups_hide_neither_anothers_nor_for_long_its_own() {
        let mut book = Book::default();
        let worker = agent(0, &["code", "rust"]);
        for n in 0..10_000 {
            book.post(Poster::Agent(id(1)), 0, &["code", &format!("x{n}")]);
        }
        let others = book.post(Poster::Agent(id(2)), 0, &["code"]);
        for draw in 0..200 {
            assert_eq!(book.look(&worker, draw, |_| true).best, Some(others));
        }
        let own = book.post(Poster::Agent(id(1)), 0, &["code", "rust"]);
        let tries = (0..2_000).filter(|draw| book.look(&worker, *draw, |step| step == own).best.is_some());
        assert!(tries.count() >= 20, "one in forty groups is looked at");
    }

    #[test]
    fn many_posters_under_one_name_hide_nobody_for_long() {
        let mut book = Book::default();
        let worker = agent(0, &["code", "rust"]);
        for n in 1..2_000 {
            book.post(Poster::Agent(id(n)), 0, &["code", "x"]);
        }
        let rare = book.post(Poster::Agent(id(5_000)), 0, &["code"]);
        let elsewhere = book.post(Poster::Agent(id(5_001)), 0, &["rust"]);
        let operators = book.post(Poster::Operator, 0, &["code", "rust"]);
        let found = |wanted| {
            (0..1_000).filter(|draw| book.look(&worker, *draw, |step| step == wanted).best.is_some()).count()
        };
        assert!(found(rare) >= 20, "{}", found(rare));
        assert_eq!((found(elsewhere), found(operators)), (1_000, 1_000));
    }

    #[test]
    fn what_is_taken_out_leaves_nothing_behind() {
        let mut book = Book::default();
        let step = book.post(Poster::Operator, 3, &["code", "rust"]);
        book.offers.remove(Poster::Operator, &task(&["code"]), (Reverse(3), 1, step));
        assert_eq!(book.offers.len(), 1, "it stands elsewhere");
        book.offers.remove(Poster::Operator, &task(&["code", "rust"]), (Reverse(3), 1, step));
        assert!(book.offers.is_empty() && book.offers.named.is_empty());
    }
}
