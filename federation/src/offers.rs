//! The open offers, ordered so that the best one for an agent is found without a look at the others: first by what is
//! asked (grouped under one required skill), then by priority and age.

use crate::fact::TaskSpec;
use crate::matching::level_asked;
use crate::member::Agent;
use artel_protocol::id::StepId;
use artel_protocol::skill::Skill;
use artel_reputation::Level;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// How many offers of one group are looked at for one claim before the group is passed over, so that an agent that is
/// barred from many steps (or posted them itself) does not make each of its claims a walk through the book.
const GROUP_LOOKS_MAX: usize = 1_024;

/// Place in a group: higher priority first, then the earlier post, then the step.
type Place = (Reverse<i32>, u64, StepId);

/// What a group of offers asks.
type Asked = (Vec<Skill>, Level);

/// The open offers.
#[derive(Debug, Default)]
pub struct Offers {
    groups: BTreeMap<Option<String>, BTreeMap<Asked, BTreeSet<Place>>>,
    count: usize,
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

    pub(crate) fn insert(&mut self, task: &TaskSpec, place: Place) {
        let (key, asked) = group(task);
        if self.groups.entry(key).or_default().entry(asked).or_default().insert(place) {
            self.count += 1;
        }
    }

    pub(crate) fn remove(&mut self, task: &TaskSpec, place: Place) {
        let (key, asked) = group(task);
        let Some(groups) = self.groups.get_mut(&key) else {
            return;
        };
        let Some(places) = groups.get_mut(&asked) else {
            return;
        };
        if places.remove(&place) {
            self.count -= 1;
        }
        if places.is_empty() {
            groups.remove(&asked);
        }
        if groups.is_empty() {
            self.groups.remove(&key);
        }
    }

    /// The first offer, by priority and then age, that asks no more than the agent has and that `takes` says yes to.
    pub fn best(&self, agent: &Agent, level: Level, takes: impl Fn(StepId) -> bool) -> Option<StepId> {
        let names: BTreeSet<&str> = agent.skills.iter().map(Skill::name).collect();
        let keys = std::iter::once(None).chain(names.into_iter().map(|n| Some(n.to_owned())));
        let fits = |(skills, asked): &Asked| {
            *asked <= level && skills.iter().all(|wanted| agent.skills.iter().any(|s| s.meets(wanted)))
        };
        keys.filter_map(|key| self.groups.get(&key))
            .flatten()
            .filter(|(asked, _)| fits(asked))
            .filter_map(|(_, places)| places.iter().take(GROUP_LOOKS_MAX).find(|place| takes(place.2)))
            .min()
            .map(|place| place.2)
    }
}

/// An offer's group: the name of its first skill (so an agent looks only under the names that it has), and what it asks.
fn group(task: &TaskSpec) -> (Option<String>, Asked) {
    (task.skills.first().map(|s| s.name().to_owned()), (task.skills.clone(), level_asked(task)))
}
