//! The crowd's part between nodes: agents of other nodes that visit, and agents of this one that work away.

use super::crowd::Dice;
use super::*;
use artel_federation::commitment::Salt;
use artel_federation::fact::{Abroad, Authority, Undertaken};
use artel_federation::input::{Conclusion, Word, Work};
use artel_federation::visit::message::{Act, Handing, Visit, Warrant};
use artel_federation::visit::warrant::act_text;

/// What the node of an agent had it sign.
pub fn delegation_text(home: &Identity, node: &NodeId, member: &Member, until: Wall) -> String {
    let (federation, agent) = (home.federation, member.id);
    format!(
        "artel enrollment\npurpose: enroll this key as an agent\nfederation: {federation}\nnode: {node}\nagent: {agent}\nname: Ada\nnonce: 00\nexpires: {}\ndelegates: this node may claim, renew and submit in the agent's name until {}\n",
        BEGIN.iso8601(),
        until.iso8601()
    )
}

/// A visit under a delegation to `node`.
pub fn delegated(
    home: &Identity,
    node: &NodeId,
    member: &Member,
    until: Wall,
    names: &[&str],
    act: Act,
) -> Visit {
    let challenge = delegation_text(home, node, member, until);
    let signature = member.sign(&challenge);
    let warrant = Warrant::Delegated { challenge, until, signature };
    Visit { agent: member.id, name: "Ada".into(), skills: skills(names), warrant, act }
}

/// A visit under the agent's own signature.
pub fn own(home: &Identity, member: &Member, at: Wall, names: &[&str], act: Act) -> Visit {
    let text = act_text(home, &member.id, &skills(names), &act, at);
    let warrant = Warrant::Own { at, signature: member.sign(&text) };
    Visit { agent: member.id, name: "Ada".into(), skills: skills(names), warrant, act }
}

/// A random visit; most of them could be meant.
pub fn visit(dice: &mut Dice, home: &Home, member: &Member, (step, epoch): (StepId, Epoch)) -> Request {
    let wait_ms = dice.below(2) as u32 * 4_000;
    let act = match dice.below(8) {
        0 | 1 => Act::Claim(step),
        2 | 3 => Act::ClaimNext { wait_ms },
        4 => Act::Renew { step, epoch },
        5 => Act::Release { step, epoch },
        _ => Act::Submit(Box::new(Handing {
            step,
            epoch,
            output: json("[1]"),
            salt: Salt([3; 16]),
            artifacts: vec![],
            incarnation: 0,
            index: 4,
            next: dice.one_in(2).then_some(wait_ms),
        })),
    };
    let names: &[&str] = if dice.one_in(8) { &["a"] } else { &["a", "b@2", "c"] };
    let mut visit = match dice.one_in(3) {
        true => own(&home.identity, member, home.wall, names, act),
        false => delegated(&home.identity, &peer(1), member, BEGIN.plus_ms(DAY_MS), names, act),
    };
    if dice.one_in(20) {
        visit.warrant = Warrant::Own { at: home.wall, signature: Signature([4; 64]) };
    }
    Request::Visit(Box::new(visit))
}

/// What an agent does away from home with one lease, and what that home says of it; mostly in a sensible order.
pub fn journey(dice: &mut Dice, agent: &Member) -> Vec<(Principal, Request)> {
    let home = peer(1);
    let n = agent.id.key().bytes()[0].wrapping_add(dice.below(2) as u8);
    let lease = Abroad { home, step: RunId::new(BEGIN, [n; 9]).step(0), epoch: Epoch(1) };
    let (lease_ms, verdict_within_ms) = (60_000, 120_000);
    let (authority, granted) = (Authority::Delegated, 3);
    let won = Undertaken { lease, agent: agent.id, authority, granted, lease_ms, verdict_within_ms };
    let mut acts = vec![(agent.principal(), Request::Undertake(Box::new(won)))];
    if !dice.one_in(4) {
        let output = json(if dice.one_in(5) { "[2]" } else { "[1]" });
        let work = Work { step: lease.step, epoch: lease.epoch, output, artifacts: vec![], own: None };
        acts.push((agent.principal(), Request::HandIn(work)));
    }
    for _ in 0..1 + dice.below(3) {
        let word = match dice.below(6) {
            0 => Word::Renewed,
            1 | 2 => {
                Word::Acknowledged { submitted: 3, at: BEGIN, signature: Signature([2; 64]), verdict: None }
            }
            3 => Word::Judged(match n % 2 {
                0 => Conclusion {
                    verdict: 9,
                    judgement: Judgement::Rejected { check: "schema".into() },
                    paid: None,
                },
                _ => Conclusion {
                    verdict: 9,
                    judgement: Judgement::Accepted { quality: 100, checked: false },
                    paid: Some(Credits(5)),
                },
            }),
            _ => Word::Over("released".into()),
        };
        let is_judged = matches!(word, Word::Judged(_));
        acts.push((Principal::Node(home), Request::Hear { lease, word }));
        if is_judged {
            let word = Word::Refuted { refuted: 12, recalled: Credits::ZERO };
            acts.push((Principal::Node(home), Request::Hear { lease, word }));
        }
    }
    acts
}
