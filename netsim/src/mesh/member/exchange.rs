//! The exchange of records from both of its ends (`sync.rs` and `fetch` of the shell): marks, wants, frames. One stream to a
//! neighbour at a time; a stream that breaks loses nothing.

use super::{Context, Does, Member, Out, Stop, Wake};
use crate::mesh::context::held;
use crate::mesh::invariants;
use crate::mesh::mail::Mail;
use crate::mesh::packet::Slot;
use crate::mesh::sabotage::MeshSabotage;
use artel_audit::records::Kept;
use artel_federation::exchange::{self, Judgement};
use artel_federation::fetching::Turn;
use artel_protocol::holes::{Holes, clipped};
use artel_protocol::log::Origin;
use artel_protocol::sync::{Mark, Message, marks_digest};
use artel_protocol::time::Mono;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::{Bound, Range};

/// How often records are fetched from one neighbour in turn, in milliseconds.
pub const ROUND_MS: u64 = 30_000;

/// How long nothing is fetched from a neighbour again, in milliseconds.
const PAUSE_MS: u64 = 500;

/// How long one answer may take, in milliseconds.
const MESSAGE_WAIT_MS: u64 = 20_000;

/// How often one stream asks what else there is.
const ROUNDS_MAX: u32 = 16;

/// How often more of one journal is wanted after each answer to what there is.
const WANTS_EACH: u32 = 2;

/// How much one want is answered with.
const WANT_BYTES_MAX: usize = 16 << 20;

/// How much is read from the store at once.
const READ_BYTES: usize = 256 << 10;

/// A fetch under way.
#[derive(Debug)]
pub struct Pull {
    pub stream: u64,
    pub step: u32,
    rounds: u32,
    /// What the neighbour has.
    pub marks: Vec<Mark>,
    /// Of which of its journals more is to be had, and which of them were asked for since it named them.
    pub theirs: VecDeque<Mark>,
    pub done: BTreeSet<Origin>,
    /// The turn to bring the first of them.
    pub turn: Option<Turn>,
    /// How often it was asked for in this round.
    pub asked: u32,
    /// Where others are bringing some, until when the first of their turns lasts.
    pub others_until: Option<Mono>,
    /// Until when it waits for others, from the first time on, and whether it does so now.
    pub waits_until: Option<u64>,
    pub waits: bool,
    wanted: Option<Message>,
    /// All before was answered on this stream.
    answered: BTreeMap<Origin, u64>,
    /// Whether an answer of this round went on.
    goes_on: bool,
    /// Whether it is over and rests.
    pub rests: bool,
}

impl Member {
    /// Asks that what is missing is fetched from a neighbour.
    pub(super) fn want_from(&mut self, context: &mut Context, peer: Slot) -> Does {
        let stream = self.streams + 1;
        let live = self.live()?;
        if !live.up.contains_key(&peer) || context.is(MeshSabotage::NeverAsks) {
            return Ok(());
        }
        if let Some(pull) = live.pulls.get_mut(&peer) {
            live.again.insert(peer);
            // It waits for others no longer.
            let waited = std::mem::take(&mut pull.waits);
            return if waited { self.ask_for_more(context, peer) } else { Ok(()) };
        }
        let pull = Pull {
            stream,
            step: 0,
            rounds: 0,
            marks: Vec::new(),
            theirs: VecDeque::new(),
            done: BTreeSet::new(),
            turn: None,
            asked: 0,
            others_until: None,
            waits_until: None,
            waits: false,
            wanted: None,
            answered: BTreeMap::new(),
            goes_on: false,
            rests: false,
        };
        live.pulls.insert(peer, pull);
        self.streams = stream;
        self.ask_for_marks(context, peer)
    }

    /// Fetches from the next neighbour in turn.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn next_round(&mut self, context: &mut Context) -> Does {
        self.out.push(Out::Later(ROUND_MS, Wake::Round));
        let live = self.live()?;
        let after = live.turn.map_or(Bound::Unbounded, Bound::Excluded);
        let next = live.up.range((after, Bound::Unbounded)).next().or(live.up.first_key_value());
        let Some(peer) = next.map(|(slot, _)| *slot) else { return Ok(()) };
        live.turn = Some(peer);
        self.want_from(context, peer)
    }

    /// A fetch's pause is over.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn rested(&mut self, context: &mut Context, peer: Slot) -> Does {
        let live = self.live()?;
        live.pulls.remove(&peer);
        if live.again.remove(&peer) { self.want_from(context, peer) } else { Ok(()) }
    }

    /// An answer did not come in time.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn give_up(&mut self, context: &Context, peer: Slot, stream: u64, step: u32) -> Does {
        let live = self.live()?;
        let waits = |pull: &&mut Pull| {
            (pull.stream, pull.step, pull.rests, pull.waits) == (stream, step, false, false)
        };
        if let Some(pull) = live.pulls.get_mut(&peer).filter(waits) {
            pull.rests = true;
            self.out.push(Out::Later(PAUSE_MS, Wake::Rested(peer)));
            self.end_turn(context, peer)?;
        }
        Ok(())
    }

    fn end_pull(&mut self, context: &mut Context, peer: Slot) -> Does {
        let live = self.live()?;
        if let Some(pull) = live.pulls.get_mut(&peer) {
            pull.rests = true;
            let left = pull.others_until.is_some();
            context.counts.exchanges += 1;
            self.out.push(Out::Later(PAUSE_MS, Wake::Rested(peer)));
            if left {
                self.want_later(peer)?;
            }
        }
        self.dismiss_strangers();
        Ok(())
    }

    fn ask_for_marks(&mut self, context: &mut Context, peer: Slot) -> Does {
        let marks = self.marks(context)?;
        self.question(peer, Message::Ask(marks_digest(&marks)))
    }

    fn question(&mut self, peer: Slot, question: Message) -> Does {
        let Some(pull) = self.live()?.pulls.get_mut(&peer) else { return Ok(()) };
        pull.step += 1;
        let (stream, step) = (pull.stream, pull.step);
        self.out.push(Out::Send(peer, Mail::Sync { stream, step, question }));
        self.out.push(Out::Later(MESSAGE_WAIT_MS, Wake::Late(peer, stream, step)));
        Ok(())
    }

    /// Up to where each journal's records are held, this node's own under the newest checkpoint that may be shown.
    pub(super) fn marks(&mut self, context: &mut Context) -> Does<Vec<Mark>> {
        let own = self.own_mark(context)?;
        let slot = self.slot;
        let live = self.live()?;
        let marks = live.exchange.marks(own);
        if context.looks() {
            invariants::marks_are_held(slot, &context.truth, &live.kept, &marks)?;
        }
        Ok(marks)
    }

    fn own_mark(&mut self, context: &mut Context) -> Does<Mark> {
        let origin = self.origin();
        let slot = self.slot;
        let reader = self.live()?.journal.reader();
        let size = reader.checkpoint().size();
        let next = match size {
            0 => 0,
            size => reader.leaf(size - 1).map_err(|_| Stop::Down)?.next_public_seq(),
        };
        let book = context.truth.books.get_mut(&slot).expect("every node has one");
        book.shown = book.shown.max(size);
        Ok(Mark { origin, next })
    }

    /// Answers a neighbour's question.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn serve(&mut self, context: &mut Context, from: Slot, mail: (u64, u32, Message)) -> Does {
        let (stream, step, question) = mail;
        if !self.live()?.up.contains_key(&from) {
            return Ok(());
        }
        let answer = match question {
            Message::Ask(digest) => {
                let marks = self.marks(context)?;
                let same = marks_digest(&marks) == digest || context.is(MeshSabotage::AlwaysSame);
                vec![if same { Message::Same } else { Message::Marks(marks) }]
            }
            Message::Want(want) => {
                let wanted = want.next..u64::MAX;
                self.give(context, (want.origin, vec![wanted]), None)?
            }
            Message::Holes(holes) => {
                self.give(context, (holes.origin(), holes.ranges().to_vec()), Some(&holes))?
            }
            _ => return Ok(()),
        };
        self.out.push(Out::Send(from, Mail::Synced { stream, step, answer }));
        Ok(())
    }

    fn give(
        &mut self,
        context: &Context,
        (origin, mut wanted): (Origin, Vec<Range<u64>>),
        holes: Option<&Holes>,
    ) -> Does<Vec<Message>> {
        let me = self.origin();
        let origin = if context.is(MeshSabotage::OtherJournalGiven) { me } else { origin };
        let live = self.live()?;
        let (mut next, mut sent, mut answer) = (wanted[0].start, 0, Vec::new());
        while sent < WANT_BYTES_MAX && !wanted.is_empty() {
            let left = std::mem::take(&mut wanted);
            let Some((frames, then)) = live.frames_in(&me, &origin, (&left, holes))? else { break };
            for frame in frames {
                sent += frame.len();
                answer.push(Message::Records(frame));
            }
            (next, wanted) = (then, clipped(&left, then..u64::MAX));
        }
        let next = holes.filter(|_| wanted.is_empty()).map_or(next, Holes::end);
        answer.push(Message::End { next });
        Ok(answer)
    }

    /// Hears an answer.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn answered(
        &mut self,
        context: &mut Context,
        from: Slot,
        honest: bool,
        mail: (u64, u32, Vec<Message>),
    ) -> Does {
        let (stream, step, answer) = mail;
        let Some(pull) = self.live()?.pulls.get_mut(&from) else { return Ok(()) };
        if (pull.stream, pull.step, pull.rests) != (stream, step, false) {
            return Ok(());
        }
        match pull.wanted.take() {
            None => self.hear_marks(context, from, answer),
            Some(question) => {
                let mut first = None;
                for message in answer {
                    match message {
                        Message::Records(bytes) => {
                            if first.is_none() {
                                first = context.memo.records(&bytes).ok().map(|records| {
                                    records.records().first().map_or(0, |record| record.public_seq)
                                });
                            }
                            if !self.take_frame(context, (from, honest), &question, &bytes)? {
                                return self.give_up(context, from, stream, step);
                            }
                        }
                        Message::End { next } => {
                            self.hear_end(from, &question, (first, next))?;
                            return self.next_want(context, from);
                        }
                        _ => break,
                    }
                }
                self.give_up(context, from, stream, step)
            }
        }
    }

    fn hear_marks(&mut self, context: &mut Context, from: Slot, answer: Vec<Message>) -> Does {
        let live = self.live()?;
        let Some(pull) = live.pulls.get_mut(&from) else { return Ok(()) };
        pull.others_until = None;
        let Some(Message::Marks(theirs)) = answer.into_iter().next() else {
            return self.end_pull(context, from);
        };
        pull.rounds += 1;
        (pull.goes_on, pull.waits_until) = (false, None);
        pull.marks = theirs;
        pull.done.clear();
        self.look_at_marks(context, from)
    }

    /// Hears where the answer to a question ended, and the first number that came.
    fn hear_end(&mut self, from: Slot, question: &Message, (first, next): (Option<u64>, u64)) -> Does {
        let origin = match question {
            Message::Want(mark) => mark.origin,
            Message::Holes(holes) => holes.origin(),
            _ => return Ok(()),
        };
        let Some(pull) = self.live()?.pulls.get_mut(&from) else { return Ok(()) };
        let answered = pull.answered.entry(origin).or_default();
        let is_first = *answered == 0 || matches!(question, Message::Want(_));
        if next > exchange::asked_from(question) {
            (*answered, pull.goes_on) = (next, true);
        } else {
            // Nothing of it is to be had here.
            pull.asked = WANTS_EACH;
        }
        match exchange::lacks_below(question, first, next).filter(|_| is_first) {
            Some(below) => self.lacks(from, origin, below),
            None => Ok(()),
        }
    }

    pub(super) fn next_want(&mut self, context: &mut Context, from: Slot) -> Does {
        while let Some(theirs) = self.next_free(context, from)? {
            let live = self.live()?;
            let Some(pull) = live.pulls.get_mut(&from) else { return Ok(()) };
            let (holes, behind) = live.kept.lacking(&theirs.origin);
            let holes: &[Range<u64>] = if context.is(MeshSabotage::WantBehindHoles) { &[] } else { &holes };
            let within = pull.answered.get(&theirs.origin).copied().unwrap_or_default()..theirs.next;
            let question = exchange::question(theirs.origin, (holes, behind), within);
            if let Some(question) = question.filter(|_| pull.asked < WANTS_EACH) {
                pull.asked += 1;
                pull.wanted = Some(question.clone());
                return self.question(from, question);
            }
            pull.theirs.pop_front();
            self.end_turn(context, from)?;
        }
        if self.waits_for_others(context, from)? { Ok(()) } else { self.ask_for_more(context, from) }
    }

    /// Authors become known by records of others, so there may be more.
    fn ask_for_more(&mut self, context: &mut Context, from: Slot) -> Does {
        let Some(pull) = self.live()?.pulls.get_mut(&from) else { return Ok(()) };
        if pull.goes_on && pull.rounds < ROUNDS_MAX {
            return self.ask_for_marks(context, from);
        }
        self.end_pull(context, from)
    }

    /// Takes one frame of an answer; false ends the stream.
    fn take_frame(
        &mut self,
        context: &mut Context,
        (from, honest): (Slot, bool),
        question: &Message,
        bytes: &[u8],
    ) -> Does<bool> {
        let Ok(records) = context.memo.records(bytes) else {
            return self.dishonest(from, honest, "records that do not hold");
        };
        if !exchange::answers(&records, question) {
            return self.dishonest(from, honest, "other records than were asked for");
        }
        self.look_for_lies(context, &records)?;
        match self.live()?.exchange.judge(None, &records) {
            Judgement::Keep => {
                let Some(kept) = self.keep(context, &records)? else { return Ok(false) };
                if kept == Kept::New {
                    context.counts.fetched += 1;
                    let live = self.live()?;
                    if let Some(turn) = live.pulls.get(&from).and_then(|pull| pull.turn) {
                        live.fetching.brought(turn, bytes.len(), Mono(context.at));
                    }
                }
                Ok(true)
            }
            Judgement::Known | Judgement::Unwanted => Ok(true),
            Judgement::Wrong(what) => self.dishonest(from, honest, what),
        }
    }

    /// What no honest neighbour sends: it is sent away.
    fn dishonest(&mut self, from: Slot, honest: bool, what: &str) -> Does<bool> {
        held(
            "invariant_honest_nodes_are_not_blamed",
            self.slot,
            invariants::is_not_honest(honest, from, what),
        )?;
        self.out.push(Out::Drop(from));
        Ok(false)
    }
}

impl super::Live {
    /// Some of a journal's frames with records of these numbers, and the number behind them; nothing where there are none. Of holes
    /// the frames have what is lacking alone.
    fn frames_in(
        &self,
        me: &Origin,
        origin: &Origin,
        (wanted, holes): (&[Range<u64>], Option<&Holes>),
    ) -> Does<Option<(Vec<Vec<u8>>, u64)>> {
        if origin == me {
            let read = self.journal.reader().records_in(wanted).map_err(|_| Stop::Down)?;
            let Some(records) = read else { return Ok(None) };
            let then = records.records().last().expect("a frame has records").public_seq + 1;
            return Ok(Some((vec![records.bytes().to_vec()], then)));
        }
        let (mut frames, then) = self.kept.frames_in(origin, wanted, READ_BYTES);
        if frames.is_empty() {
            return Ok(None);
        }
        if let Some(holes) = holes {
            frames = frames.iter().filter_map(|frame| holes.cut(frame)).collect();
        }
        Ok(Some((frames, then)))
    }
}
