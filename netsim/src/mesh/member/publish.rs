//! What a node tells: what became public, as frames by topic (`publisher.rs`), and what it does for a living.

use super::{Agent, Context, Does, Member, Out, Stop, Wake};
use crate::desk::{Desk, Purse};
use crate::home::WALL_START_MS;
use crate::invariants::ensure;
use crate::mesh::context::held;
use crate::mesh::invariants;
use crate::mesh::market::posting::secrets;
use crate::mesh::packet::Packet;
use crate::mesh::sabotage::MeshSabotage;
use artel_audit::Reader;
use artel_audit::public::{Frames, RECORDS_BYTES};
use artel_federation::exchange::topic_of;
use artel_federation::input::{ClaimNext, Profile, Submission};
use artel_federation::interest::Interest;
use artel_federation::{Entry, Fact, Json, Principal, Reply, Request};
use artel_protocol::id::Digest;
use artel_protocol::key::{AgentId, SecretKey};
use artel_protocol::log::Class;
use artel_protocol::record::Records;
use artel_protocol::time::Wall;
use artel_protocol::topic::Topic;

/// How many entries are read at once.
const STRIDE: u64 = 1_024;

impl Member {
    /// Tells what became public since the last time.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn publish(&mut self, context: &mut Context) -> Does {
        self.live()?.publish_due = false;
        let end = self.checkpoint(context)?.size();
        let (slot, me) = (self.slot, self.identity.node);
        let live = self.live()?;
        let (from, reader, listened) = (live.told, live.journal.reader(), !live.up.is_empty());
        let Ok(read) = between(&reader, from, end, listened) else { return Err(Stop::Down) };
        let Found { heard, frames, agents_changed } = read;
        live.told = end;
        live.exchange.hear(me, heard.iter().map(|(index, fact)| (*index, fact)));
        heard.iter().for_each(|(index, fact)| live.heard.take(me, *index, fact));
        if !heard.is_empty() {
            self.look_at_members(context)?;
            self.dismiss_strangers();
        }
        if agents_changed && !context.is(MeshSabotage::InterestStale) {
            self.follow_more(context)?;
        }
        for (topic, records) in frames {
            held("invariant_only_public_facts_travel", slot, invariants::only_public_facts_travel(&records))?;
            self.say(context, topic, records.bytes())?;
        }
        Ok(())
    }

    /// Gossips something of its own.
    pub(super) fn say(&mut self, context: &mut Context, topic: Topic, data: &[u8]) -> Does {
        if self.seat.is_some() {
            let holds = ensure(secrets(data).is_empty(), || "a private text is gossiped".to_owned());
            held("invariant_secrets_go_to_whom_they_are_for", self.slot, holds)?;
        }
        let packet = Packet::new(&self.identity.federation, topic, data);
        let mut outbox = Vec::new();
        let live = self.live()?;
        live.passed.insert(packet.id);
        live.overlay.publish(context.at, packet, &mut outbox);
        context.counts.published += u64::from(!outbox.is_empty());
        self.send_all(outbox)
    }

    /// Sends away whoever is a neighbour and no member any more.
    pub(super) fn dismiss_strangers(&mut self) {
        let Some(live) = &self.live else { return };
        let strangers = live.up.iter().filter(|(_, node)| !live.exchange.is_member(node));
        let strangers: Vec<_> = strangers.map(|(slot, _)| Out::Drop(*slot)).collect();
        self.out.extend(strangers);
    }

    /// The operator posts work, or the node's own agent does some of it.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn work(&mut self, context: &mut Context, desk: &mut Desk) -> Does {
        if self.seat.is_some() {
            return self.posts(context);
        }
        let wall = Wall(WALL_START_MS + context.at);
        let request = match self.rng.below(4) {
            0 => return self.do_a_task(context),
            _ => desk.wish(&mut self.rng, wall, Purse::Deep),
        };
        if let Some(Ok(reply)) = self.ask(context, Principal::Operator, request)? {
            desk.hear(&reply);
        }
        Ok(())
    }

    fn do_a_task(&mut self, context: &mut Context) -> Does {
        let key = SecretKey::from_seed(&Digest::of(format!("netsim mesh agent {}", self.slot).as_bytes()).0);
        let id = AgentId(key.public());
        let Some(serial) = self.agent.serial else {
            return self.enroll(context, id, &key);
        };
        let agent = Principal::Agent { id, serial };
        let claim = Request::ClaimNext(ClaimNext { wait_ms: 0 });
        let Some(Ok(Reply::Leased(lease))) = self.ask(context, agent, claim)? else { return Ok(()) };
        let submission = Submission {
            step: lease.step,
            epoch: lease.epoch,
            output: Json::new(*b"{\"done\":true}"),
            artifacts: Vec::new(),
            next: None,
            brought: None,
        };
        self.ask(context, agent, Request::Submit(submission)).map(drop)
    }

    fn enroll(&mut self, context: &mut Context, agent: AgentId, key: &SecretKey) -> Does {
        let skills = crate::desk::SKILLS.iter().map(|text| crate::desk::skill(text)).collect();
        let metadata = Json::new(*b"{}");
        let profile = Profile { name: "worker".into(), skills, metadata, capacity: None };
        let request = Request::Enroll { agent, profile, delegate: true };
        let asked = self.ask(context, Principal::Stranger, request)?;
        let Some(Ok(Reply::Challenge { enrollment, text, .. })) = asked else { return Ok(()) };
        let signature = key.sign(text.as_bytes());
        let request = Request::Respond { enrollment, signature };
        if let Some(Ok(Reply::Token { serial, .. })) = self.ask(context, Principal::Stranger, request)? {
            self.agent = Agent { serial: Some(serial) };
        }
        Ok(())
    }

    /// Something that the node wanted to be woken for.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn wake(&mut self, context: &mut Context, wake: Wake) -> Does {
        match wake {
            Wake::Publish => self.publish(context),
            Wake::Head => self.tell_head(context),
            Wake::Heartbeat => {
                self.out.push(Out::Later(crate::mesh::overlay::HEARTBEAT_MS, Wake::Heartbeat));
                let mut outbox = Vec::new();
                let live = self.live()?;
                live.judged.retain(|_, until| *until > context.at);
                live.overlay.heartbeat(context.at, &mut outbox);
                self.send_all(outbox)
            }
            Wake::Late(peer, stream, step) => self.give_up(context, peer, stream, step),
            Wake::TurnEnded => self.turn_ended(context),
            Wake::OutOfTime(peer, stream, step) => self.out_of_time(context, peer, (stream, step)),
            Wake::Rested(peer) => self.rested(context, peer),
            Wake::Round => self.next_round(context),
            Wake::Market(wake) => self.wake_market(context, wake),
            Wake::Fill => self.fill(context),
            Wake::Dial => {
                self.out.push(Out::Seek);
                Ok(())
            }
        }
    }
}

/// What was read of the own journal.
#[derive(Default)]
struct Found {
    /// Of membership.
    heard: Vec<(u64, Fact)>,
    /// All that is public, as frames by topic.
    frames: Vec<(Topic, Records)>,
    /// Whether other agents, or other skills, may be here than before.
    agents_changed: bool,
}

/// What entries say of membership, and where somebody listens, all that is public as frames by topic.
fn between(reader: &Reader, from: u64, end: u64, listened: bool) -> Result<Found, artel_audit::Error> {
    let (mut found, mut open) = (Found::default(), Frames::default());
    let mut index = from;
    while index < end {
        let stride: Vec<u64> = (index..end.min(index + STRIDE)).collect();
        let (entries, next) = reader.some(&stride, RECORDS_BYTES)?;
        index = next.unwrap_or(index + stride.len() as u64);
        for stored in &entries {
            if stored.leaf.class() != Class::Public {
                found.agents_changed |= Interest::may_change_with(&stored.body);
                continue;
            }
            let Ok(entry) = Entry::decode(&stored.body) else { continue };
            // A private fact has no topic; where a planted bug made it public, it goes with the rest.
            let topic = topic_of(&entry.fact).unwrap_or(Topic::Trust);
            if listened && let Some(full) = open.add(topic, stored.index, stored.body.len()) {
                found.frames.push((topic, reader.records(&full)?));
            }
            if matches!(entry.fact, Fact::Admitted(_) | Fact::Expelled(_)) {
                found.heard.push((stored.index, entry.fact));
            }
        }
    }
    for (topic, positions) in open.rest() {
        found.frames.push((topic, reader.records(&positions)?));
    }
    Ok(found)
}
