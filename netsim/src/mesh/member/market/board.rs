//! The board (`neighbours/board.rs`): offers of other homes that were heard and not seen to be taken. Gone after a restart, and
//! read again from what is kept.

use super::{Does, Member};
use artel_federation::fact::{Judgement, Offered};
use artel_federation::{Entry, Fact};
use artel_protocol::id::StepId;
use artel_protocol::key::NodeId;
use artel_protocol::record::Records;
use artel_protocol::skill::Skill;
use artel_protocol::time::Wall;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// How many bytes of frames are read at once.
const READ_BYTES: usize = 64 << 10;

/// All homes' offers, and what counts the news of each.
#[derive(Debug, Default)]
pub(super) struct Board {
    homes: BTreeMap<NodeId, (BTreeMap<StepId, Offered>, u64)>,
    news: u64,
}

impl Board {
    /// Takes in what a home's records say of its offers.
    pub fn hear(&mut self, records: &Records, now: Wall) {
        let home = records.origin().node();
        for record in records.records() {
            let Ok(entry) = Entry::decode(&record.body) else { continue };
            match entry.fact {
                Fact::Offered(offered) if offered.deadline > now => {
                    self.news += 1;
                    let (offers, news) = self.homes.entry(home).or_default();
                    offers.insert(offered.step, offered);
                    *news = self.news;
                }
                Fact::Granted(f) => self.take_down(&home, &f.step),
                Fact::StepEnded(f) => self.take_down(&home, &f.step),
                Fact::Verdict(f) if matches!(f.judgement, Judgement::Accepted { .. }) => {
                    self.take_down(&home, &f.step);
                }
                _ => {}
            }
        }
    }

    /// Takes an offer down that its home says is not open.
    pub fn take_down(&mut self, home: &NodeId, step: &StepId) {
        if let Some((offers, _)) = self.homes.get_mut(home) {
            offers.remove(step);
        }
    }

    /// The homes that offer what an agent with these skills may take, whoever offers most first, and what counts their news.
    pub fn homes_for(&self, skills: &[Skill], now: Wall) -> Vec<(NodeId, u64)> {
        let fits = |(home, (offers, news)): (&NodeId, &(BTreeMap<StepId, Offered>, u64))| {
            let count = offers.values().filter(|offer| is_for(offer, skills, now)).count();
            (count > 0).then_some((Reverse(count), *home, *news))
        };
        let mut homes: Vec<_> = self.homes.iter().filter_map(fits).collect();
        homes.sort_unstable();
        homes.into_iter().map(|(_, home, news)| (home, news)).collect()
    }

    /// All offers that an agent with these skills may take.
    pub fn offers(&self, skills: &[Skill], now: Wall) -> Vec<(NodeId, StepId)> {
        let all =
            self.homes.iter().flat_map(|(home, (offers, _))| offers.values().map(move |one| (*home, one)));
        all.filter(|(_, offer)| is_for(offer, skills, now)).map(|(home, offer)| (home, offer.step)).collect()
    }
}

fn is_for(offer: &Offered, skills: &[Skill], now: Wall) -> bool {
    offer.deadline > now && offer.skills.iter().all(|asked| skills.iter().any(|skill| skill.meets(asked)))
}

impl Member {
    /// What is kept of others says what they offer, and how they are as homes.
    pub(super) fn read_board_again(&mut self) -> Does {
        let marks = self.live()?.kept.marks();
        let now = super::wall(self.booted_at);
        for (origin, _) in marks {
            let mut next = 0;
            loop {
                let (frames, then) = self.live()?.kept.frames(&origin, next, READ_BYTES);
                for frame in &frames {
                    // They were checked before they were kept.
                    let Ok(records) = Records::check(frame, &origin.federation()) else { continue };
                    let trade = self.trade()?;
                    trade.board.hear(&records, now);
                    for record in records.records() {
                        let fact = Entry::decode(&record.body).ok().map(|entry| entry.fact);
                        trade.homes.hear(&origin, (record.public_seq, record.index), fact.as_ref());
                    }
                }
                if frames.is_empty() || then <= next {
                    break;
                }
                next = then;
            }
        }
        Ok(())
    }
}
