//! What a node follows of others' offers (`neighbours/interest.rs`): the shipped rule says which shards, here they are subscribed
//! as agents come. What no gossip brings is fetched all the same, without haste. Only a node of a market has interests.

use super::{Context, Does, Member, Out, Wake};
use crate::mesh::packet::Slot;
use artel_federation::interest::Interest;
use artel_protocol::key::NodeId;
use artel_protocol::topic::{SHARDS, Topic};
use std::collections::BTreeSet;

/// Within how many milliseconds is fetched what is not waited for (`LATER`).
const LATER_MS: u64 = 5_000;

impl Member {
    /// What is followed from a start on: what concerns everybody, and all shards where the operator wants that.
    pub(super) fn begins_to_follow(&self) -> BTreeSet<Topic> {
        match &self.seat {
            Some(seat) if seat.interest != Interest::All => {
                [Topic::Agents, Topic::Trust, Topic::Heads].into()
            }
            _ => Topic::all().collect(),
        }
    }

    /// What this node does not follow now.
    pub fn unfollowed(&self) -> BTreeSet<Topic> {
        let followed = self.live.as_ref().map(|live| live.overlay.follows()).unwrap_or_default();
        Topic::all().filter(|topic| !followed.contains(topic)).collect()
    }

    /// Whether its operator wants all offers followed.
    pub fn follows_all_by_will(&self) -> bool {
        self.interest().is_none_or(|interest| *interest == Interest::All)
    }

    /// What its operator wants followed, where there is a market.
    fn interest(&self) -> Option<&Interest> {
        self.seat.as_ref().map(|seat| &seat.interest)
    }

    fn follows_all(&mut self) -> Does<bool> {
        let follows = self.live()?.overlay.follows();
        Ok((0..SHARDS).all(|shard| follows.contains(&Topic::Tasks(shard))))
    }

    /// Follows further shards where agents have come that could work there. What was offered there before is fetched.
    pub(super) fn follow_more(&mut self, context: &mut Context) -> Does {
        let Some(interest) = self.interest().cloned() else { return Ok(()) };
        let live = self.live()?;
        let (wanted, follows) =
            (interest.shards(live.federation.view().agents(None)), live.overlay.follows());
        let topics = wanted.into_iter().map(Topic::Tasks);
        let new: Vec<Topic> = topics.filter(|topic| !follows.contains(topic)).collect();
        if new.is_empty() {
            return Ok(());
        }
        let mut outbox = Vec::new();
        new.iter().for_each(|topic| live.overlay.follow(context.at, *topic, &mut outbox));
        let up: Vec<Slot> = live.up.keys().copied().collect();
        self.send_all(outbox)?;
        self.out.extend(new.into_iter().map(Out::Follow));
        up.into_iter().try_for_each(|peer| self.want_from(context, peer))
    }

    /// A neighbour follows one topic more.
    ///
    /// # Errors
    /// [`super::Stop`].
    pub fn hears_follow(&mut self, context: &Context, peer: Slot, topic: Topic) -> Does {
        let mut outbox = Vec::new();
        self.live()?.overlay.follows_too(context.at, peer, topic, &mut outbox);
        self.send_all(outbox)
    }

    /// Something is missing before what a neighbour's gossip brought. Where all topics are followed it was lost, and is fetched at
    /// once; else it is most likely of a shard that is not followed, and is fetched in a while, from its author if that can be.
    pub(super) fn fill_hole(&mut self, context: &mut Context, author: NodeId, from: Slot) -> Does {
        if self.follows_all()? {
            return self.want_from(context, from);
        }
        let live = self.live()?;
        let of_author = live.up.iter().find(|(_, node)| **node == author).map(|(slot, _)| *slot);
        self.want_later(of_author.unwrap_or(from))
    }

    /// Asks that what is missing is fetched from a neighbour in a while.
    pub(super) fn want_later(&mut self, peer: Slot) -> Does {
        let live = self.live()?;
        let is_first = live.later.is_empty();
        live.later.insert(peer);
        if is_first {
            let ms = self.rng.between(1, LATER_MS);
            self.out.push(Out::Later(ms, Wake::Fill));
        }
        Ok(())
    }

    /// Fetches what is missing and was not waited for.
    pub(super) fn fill(&mut self, context: &mut Context) -> Does {
        let later = std::mem::take(&mut self.live()?.later);
        later.into_iter().try_for_each(|peer| self.want_from(context, peer))
    }
}
