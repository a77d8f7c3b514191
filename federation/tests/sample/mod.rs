//! The small journals that the golden vectors hold: a founder's with an entry of every kind, that of a node that joined, and one of
//! work between two nodes.

use crate::common::{BEGIN, genesis, identity, joining, json, member, peer, skills};
use artel_federation::commitment::{Opening, Salt, terms, terms_salt};
use artel_federation::fact::*;
use artel_federation::redo::{self, lot};
use artel_federation::run::RunStatus;
use artel_federation::{Beginning, Entry, Fact};
use artel_protocol::amount::Credits;
use artel_protocol::id::{ArtifactId, Digest, Epoch, RunId, StepId};
use artel_protocol::invitation::InvitationSecret;
use artel_protocol::key::{AgentId, NodeId, SecretKey, Signature};
use artel_protocol::log::leaf::Class;
use artel_protocol::log::{Checkpoint, Cosignature, Hash, Origin};
use artel_protocol::text::Correlation;
use artel_reputation::{Complexity, Level};

/// The run's salt, which in a journal is random.
const RUN_SALT: Salt = Salt([0xa5; 16]);

fn run_id() -> RunId {
    RunId::new(BEGIN, [7; 9])
}

pub fn step_id() -> StepId {
    run_id().step(0)
}

pub fn agent() -> AgentId {
    member(1).id
}

pub fn at(n: u64, fact: Fact) -> Entry {
    Entry { at: BEGIN.plus_ms(n), correlation: Correlation::parse("golden"), fact }
}

pub fn task() -> TaskSpec {
    TaskSpec {
        title: "count".into(),
        description: "count the lines".into(),
        skills: skills(&["count@2"]),
        level_min: Some(Level::Novice),
        complexity: Complexity::Simple,
        reward: Credits(5_000_000),
        deadline: BEGIN.plus_ms(3_600_000),
        input: json(r#"{"file":"a"}"#),
        output_schema: Some(json(r#"{"type":"object"}"#)),
        poster_may_claim: true,
        runner: None,
    }
}

pub fn run_with_runner() -> RunId {
    RunId::new(BEGIN, [8; 9])
}

pub fn task_with_runner() -> TaskSpec {
    let module = Digest::of(b"module");
    TaskSpec { reward: Credits::ZERO, runner: Some(RunnerSpec::Wasm { module }), ..task() }
}

pub fn terms_of(step: StepId, task: &TaskSpec) -> Digest {
    terms(terms_salt(RUN_SALT, &step), &step, task)
}

fn transfer(cause: Cause, legs: &[(Account, i64)]) -> Fact {
    let legs = legs.iter().map(|(account, units)| Leg { account: *account, units: *units }).collect();
    Fact::Transfer(Transfer { cause, step: step_id(), legs })
}

/// A life of one task, and beside it one of every other kind of entry. It folds.
pub fn journal() -> Vec<(&'static str, Entry)> {
    let (step, agent) = (step_id(), agent());
    let signature = Signature([0x5a; 64]);
    let output = json(r#"{"lines":3}"#);
    let ended = |epoch: u32| LeaseEnded { step, epoch: Epoch(epoch), agent };
    let offered = |epoch: u32| {
        Fact::Offered(Offered {
            step,
            epoch: Epoch(epoch),
            skills: skills(&["count@2"]),
            complexity: Complexity::Simple,
            level_min: Some(Level::Novice),
            reward: Credits(5_000_000),
            deadline: BEGIN.plus_ms(3_600_000),
            terms: terms(terms_salt(RUN_SALT, &step), &step, &task()),
            window_ms: 0,
            top: 8,
            verdict_within_ms: 600_000,
        })
    };
    let granted = |epoch: u32, authority: Authority| {
        let (level, bound, lease_ms) = (Level::Novice, 0, 60_000);
        Fact::Granted(Granted { step, epoch: Epoch(epoch), agent, level, bound, lease_ms, authority })
    };
    let artifacts = vec![Digest::of(b"artifact")];
    // A submission's salt is its own; here the epoch, sixteen times.
    let salt = |epoch: u32| Salt([epoch as u8; 16]);
    let handed = |epoch: u32| {
        let (output, artifacts) = (output.clone(), artifacts.clone());
        Fact::Output(Output { step, epoch: Epoch(epoch), salt: salt(epoch), output, artifacts })
    };
    let submitted = |epoch: u32, late: bool| {
        let (output, artifacts) = (output.digest(), artifacts.clone());
        let result = Opening { salt: salt(epoch), output, artifacts }.result();
        let authority = Authority::Delegated;
        Fact::Submitted(Submitted {
            step,
            epoch: Epoch(epoch),
            agent,
            result,
            authority,
            late,
            handed_at: None,
        })
    };
    let verdict = |epoch: u32, submitted: u64, judgement: Judgement| {
        Fact::Verdict(Verdict { step, epoch: Epoch(epoch), agent, submitted, judgement })
    };
    let escrow = Account::Escrow(step);
    let second = run_id().step(1);
    let facts = vec![
        ("genesis", Fact::Genesis(genesis())),
        (
            "started",
            Fact::Started(Started { boot: 1, version: "0.1.0".into(), configuration: Digest::of(b"config") }),
        ),
        (
            "enrolled",
            Fact::Enrolled(Enrolled {
                agent,
                name: "Ada".into(),
                skills: skills(&["count@2", "rust"]),
                metadata: json(r#"{"k":1}"#),
                capacity: 3,
                delegation: Some(Delegation { until: BEGIN.plus_ms(1_000_000) }),
                serial: 1,
                expires: BEGIN.plus_ms(2_000_000),
                challenge: "artel enrollment\n".into(),
                signature,
            }),
        ),
        (
            "configured",
            Fact::Configured(Configured {
                agent,
                name: "Ada L.".into(),
                skills: skills(&["count@2"]),
                metadata: json("{}"),
                capacity: 2,
            }),
        ),
        (
            "rotated",
            Fact::Rotated(Rotated { agent, serial: 2, expires: BEGIN.plus_ms(3_000_000), signature }),
        ),
        (
            "run posted",
            Fact::RunPosted(RunPosted {
                run: run_id(),
                poster: Poster::Operator,
                name: "audit".into(),
                inputs: json(r#"{"dir":"."}"#),
                priority: -1,
                steps: vec![
                    StepSpec { name: "count".into(), needs: vec![], task: task() },
                    StepSpec {
                        name: "merge".into(),
                        needs: vec![0],
                        task: TaskSpec {
                            output_schema: None,
                            level_min: None,
                            reward: Credits::ZERO,
                            ..task()
                        },
                    },
                ],
                post_key: Some(PostKey { key: Digest::of(b"key"), body: Digest::of(b"body") }),
                attempts_max: 3,
                lapses_max: 3,
                salt: RUN_SALT,
            }),
        ),
        ("escrow", transfer(Cause::Escrow, &[(Account::Operator, -10_000_000), (escrow, 10_000_000)])),
        ("offered", offered(1)),
        ("granted", granted(1, Authority::Session)),
        ("released", Fact::Released(ended(1))),
        ("offered again", offered(2)),
        ("granted under delegation", granted(2, Authority::Delegated)),
        ("lapsed", Fact::Lapsed(ended(2))),
        ("offered a third time", offered(3)),
        ("granted by its own signature", granted(3, Authority::Own)),
        ("output", handed(3)),
        ("submitted", submitted(3, false)),
        ("findings", Fact::Findings(Findings { step, epoch: Epoch(3), findings: "no total".into() })),
        ("verdict, rejected", verdict(3, 16, Judgement::Rejected { check: "schema".into() })),
        ("offered a fourth time", offered(4)),
        ("granted a fourth time", granted(4, Authority::Delegated)),
        ("output again", handed(4)),
        ("submitted late", submitted(4, true)),
        (
            "payment",
            transfer(
                Cause::Payment,
                &[
                    (escrow, -10_000_000),
                    (Account::Agent(agent), 4_000_000),
                    (Account::Poster(step), 6_000_000),
                ],
            ),
        ),
        ("verdict, accepted", verdict(4, 22, Judgement::Accepted { quality: 80, checked: true })),
        (
            "cancel asked",
            Fact::CancelAsked(CancelAsked { run: run_id(), step: Some(second), by: Poster::Agent(agent) }),
        ),
        ("step ended", Fact::StepEnded(StepEnded { step: second, end: End::Cancelled })),
        ("run ended", Fact::RunEnded(RunEnded { run: run_id(), status: RunStatus::Cancelled })),
        (
            "artifact stored",
            Fact::ArtifactStored(ArtifactStored {
                artifact: ArtifactId::new(BEGIN, [8; 9]),
                digest: Digest::of(b"artifact"),
                bytes: 8,
                bytes_new: 8,
                name: "report.html".into(),
                kind: "report".into(),
                content_type: "text/html".into(),
                by: Poster::Agent(agent),
                step: Some(step),
                run: Some(run_id()),
                metadata: json("{}"),
            }),
        ),
        (
            "emitted",
            Fact::Emitted(Emitted {
                name: "xyn.test".into(),
                by: Poster::Operator,
                data: json(r#"{"a":1}"#),
                run: None,
            }),
        ),
        (
            "refused",
            Fact::Refused(Refused { who: Poster::Agent(agent), code: "not_qualified".into(), count: 12 }),
        ),
        (
            "revoked by itself",
            Fact::Revoked(Revoked { agent, by: Revoker::Agent, serial: 3, signature: Some(signature) }),
        ),
        (
            "revoked by the operator",
            Fact::Revoked(Revoked { agent, by: Revoker::Operator, serial: 4, signature: None }),
        ),
        ("admitted, open", Fact::Admitted(Admitted { node: peer(1), by: AdmittedBy::Open })),
        ("expelled", Fact::Expelled(Expelled { node: peer(1), reason: "granted one step twice".into() })),
        (
            "run posted with a runner",
            Fact::RunPosted(RunPosted {
                run: run_with_runner(),
                poster: Poster::Operator,
                name: "count".into(),
                inputs: json("{}"),
                priority: 0,
                steps: vec![StepSpec { name: "count".into(), needs: vec![], task: task_with_runner() }],
                post_key: None,
                attempts_max: 3,
                lapses_max: 3,
                salt: RUN_SALT,
            }),
        ),
        (
            "offered with a runner",
            Fact::Offered(Offered {
                step: run_with_runner().step(0),
                epoch: Epoch(1),
                skills: skills(&["count@2"]),
                complexity: Complexity::Simple,
                level_min: Some(Level::Novice),
                reward: Credits::ZERO,
                deadline: BEGIN.plus_ms(3_600_000),
                terms: terms_of(run_with_runner().step(0), &task_with_runner()),
                window_ms: 0,
                top: 8,
                verdict_within_ms: 600_000,
            }),
        ),
        (
            "granted, and not used",
            Fact::Granted(Granted {
                step: run_with_runner().step(0),
                epoch: Epoch(1),
                agent,
                level: Level::Novice,
                bound: 0,
                lease_ms: 60_000,
                authority: Authority::Delegated,
            }),
        ),
        ("unused", Fact::Unused(LeaseEnded { step: run_with_runner().step(0), epoch: Epoch(1), agent })),
        (
            "released unused",
            Fact::Released(LeaseEnded { step: run_with_runner().step(0), epoch: Epoch(1), agent }),
        ),
        (
            "refuted",
            Fact::Refuted(Refuted {
                step,
                epoch: Epoch(4),
                agent,
                submitted: 22,
                verdict: 25,
                judged: BEGIN.plus_ms(25),
                late: true,
                quality: Some(80),
                other: Digest::of(b"another"),
                profile: Digest::of(b"profile"),
                recalled: Credits(4_000_000),
            }),
        ),
        (
            "recalled",
            Fact::Recalled(Recalled {
                step,
                epoch: Epoch(4),
                legs: vec![
                    Leg { account: Account::Agent(agent), units: -4_000_000 },
                    Leg { account: Account::Operator, units: 4_000_000 },
                ],
            }),
        ),
    ];
    let mut entries = dated(facts);
    // The first files had a correlation in every entry but one; newer public entries have none, as in a journal.
    entries[0].1.correlation = None;
    let newer = entries.iter().position(|(name, _)| *name == "admitted, open").expect("it is there");
    for (_, entry) in entries[newer..].iter_mut().filter(|(_, entry)| entry.fact.class() == Class::Public) {
        entry.correlation = None;
    }
    entries
}

fn dated(facts: Vec<(&'static str, Fact)>) -> Vec<(&'static str, Entry)> {
    facts.into_iter().enumerate().map(|(n, (name, fact))| (name, at(n as u64, fact))).collect()
}

/// What the secret of the golden invitation is.
pub const SECRET: InvitationSecret = InvitationSecret([0xd7; 16]);

pub fn joined() -> Joined {
    match joining(Admission::Invitation) {
        Beginning::Join(joined) => joined,
        Beginning::Found(_) => unreachable!("it joins"),
    }
}

/// A node that joined, and whom it lets in. It folds.
pub fn node_journal() -> Vec<(&'static str, Entry)> {
    let invitation = SECRET.digest();
    let other = InvitationSecret([0xd8; 16]).digest();
    let until = BEGIN.plus_ms(3_600_000);
    let facts = vec![
        ("joined", Fact::Joined(joined())),
        (
            "started",
            Fact::Started(Started { boot: 1, version: "0.1.0".into(), configuration: Digest::of(b"config") }),
        ),
        ("invited", Fact::Invited(Invited { invitation, until, uses: 2 })),
        ("invited once more", Fact::Invited(Invited { invitation: other, until, uses: 1 })),
        (
            "admitted by invitation",
            Fact::Admitted(Admitted { node: peer(1), by: AdmittedBy::Invitation(invitation) }),
        ),
        ("invitation ended", Fact::InvitationEnded(InvitationEnded { invitation: other })),
        ("expelled", Fact::Expelled(Expelled { node: peer(1), reason: "granted one step twice".into() })),
        ("admitted by the operator", Fact::Admitted(Admitted { node: peer(1), by: AdmittedBy::Operator })),
        ("expelled unseen", Fact::Expelled(Expelled { node: peer(2), reason: "forked its log".into() })),
        (
            "fraud proven",
            Fact::FraudProven(FraudProven {
                node: peer(2),
                lie: Lie::Rewritten,
                proof: Digest::of(b"proof"),
            }),
        ),
    ];
    without_correlation(dated(facts))
}

/// What is recorded where a home and a worker's node are two: an agent of another node does a step here, and an agent of
/// this node does three elsewhere. It folds.
pub fn abroad_journal() -> Vec<(&'static str, Entry)> {
    let (agent, guest, signature) = (agent(), member(2).id, Signature([0x5a; 64]));
    let output = json(r#"{"lines":3}"#);
    let salt = Salt([9; 16]);
    let result = Opening { salt, output: output.digest(), artifacts: vec![] }.result();
    let (step, epoch) = (run_with_runner().step(0), Epoch(1));
    let deadline = BEGIN.plus_ms(3_600_000);
    let lease = |n: u8| Abroad { home: peer(1), step: RunId::new(BEGIN, [n; 9]).step(0), epoch: Epoch(3) };
    let undertaken = |n: u8| {
        let (authority, granted) = (Authority::Delegated, 40 + u64::from(n));
        let (lease_ms, verdict_within_ms) = (60_000, 600_000);
        let lease = lease(n);
        Fact::Undertaken(Undertaken { lease, agent, authority, granted, lease_ms, verdict_within_ms })
    };
    let outgoing = |n: u8, own| {
        let (output, artifacts) = (output.clone(), vec![]);
        Fact::Outgoing(Outgoing { lease: lease(n), salt, output, artifacts, own })
    };
    let handed_in = |n: u8, authority| Fact::HandedIn(HandedIn { lease: lease(n), agent, result, authority });
    let redone = |by, came| {
        let profile = Some(Digest::of(b"engine"));
        Redone { step, epoch, agent: guest, by: Some(by), came, profile }
    };
    let other = || Came::Other(Digest::of(b"other"));
    let judgement = Judgement::Accepted { quality: 100, checked: false };
    let concluded =
        Concluded { lease: lease(1), verdict: 52, judgement: judgement.clone(), agent: None, paid: None };
    let facts = vec![
        ("genesis", Fact::Genesis(genesis())),
        (
            "enrolled",
            Fact::Enrolled(Enrolled {
                agent,
                name: "Ada".into(),
                skills: skills(&["count@2"]),
                metadata: json("{}"),
                capacity: 3,
                delegation: Some(Delegation { until: BEGIN.plus_ms(1_000_000) }),
                serial: 1,
                expires: BEGIN.plus_ms(2_000_000),
                challenge: "artel enrollment\n".into(),
                signature,
            }),
        ),
        (
            "introduced under a delegation",
            Fact::Introduced(Introduced {
                agent: guest,
                node: peer(1),
                name: "Bob".into(),
                skills: skills(&["count@2"]),
                delegation: Some(Delegation { until: BEGIN.plus_ms(1_000_000) }),
                warrant: Some(Digest::of(b"challenge and signature")),
                will: "artel enrollment\n".into(),
                signature,
            }),
        ),
        (
            "introduced by its own statement",
            Fact::Introduced(Introduced {
                agent: guest,
                node: peer(2),
                name: "Bob".into(),
                skills: skills(&["count@2"]),
                delegation: None,
                warrant: None,
                will: "artel statement\n".into(),
                signature,
            }),
        ),
        (
            "run posted",
            Fact::RunPosted(RunPosted {
                run: run_with_runner(),
                poster: Poster::Operator,
                name: "count".into(),
                inputs: json("{}"),
                priority: 0,
                steps: vec![StepSpec { name: "count".into(), needs: vec![], task: task_with_runner() }],
                post_key: None,
                attempts_max: 3,
                lapses_max: 3,
                salt: RUN_SALT,
            }),
        ),
        (
            "offered",
            Fact::Offered(Offered {
                step,
                epoch,
                skills: skills(&["count@2"]),
                complexity: Complexity::Simple,
                level_min: Some(Level::Novice),
                reward: Credits::ZERO,
                deadline,
                terms: terms_of(step, &task_with_runner()),
                window_ms: 0,
                top: 8,
                verdict_within_ms: 600_000,
            }),
        ),
        (
            "granted to an agent of another node",
            Fact::Granted(Granted {
                step,
                epoch,
                agent: guest,
                level: Level::Novice,
                bound: 0,
                lease_ms: 60_000,
                authority: Authority::Own,
            }),
        ),
        ("output", Fact::Output(Output { step, epoch, salt, output: output.clone(), artifacts: vec![] })),
        (
            "submitted by an agent of another node",
            Fact::Submitted(Submitted {
                step,
                epoch,
                agent: guest,
                result,
                authority: Authority::Own,
                late: false,
                handed_at: Some(HandedAt { node: peer(2), incarnation: 1, index: 77 }),
            }),
        ),
        ("drawn", Fact::Drawn(Drawn { step, epoch, agent: guest, rate: 700, lot: Digest::of(b"lot") })),
        ("run again by a node with another result", Fact::Redone(redone(peer(3), other()))),
        ("run again without an end", Fact::Unsettled(redone(peer(4), Came::Inconclusive))),
        ("run again at home", Fact::Redone(redone(identity().node, Came::Same))),
        (
            "about to run a step of another home again",
            Fact::Redoing(Redoing { lease: lease(1), module: Digest::of(b"module") }),
        ),
        ("undertaken", undertaken(1)),
        ("undertaken once more", undertaken(2)),
        ("undertaken a third time", undertaken(3)),
        ("outgoing", outgoing(1, None)),
        ("handed in", handed_in(1, Authority::Delegated)),
        ("outgoing under its own signature", outgoing(2, Some((BEGIN, signature)))),
        ("handed in under its own signature", handed_in(2, Authority::Own)),
        (
            "acknowledged",
            Fact::Acknowledged(Acknowledged { lease: lease(1), submitted: 50, at: BEGIN, signature }),
        ),
        (
            "unanswered",
            Fact::Unanswered(Unanswered { lease: lease(1), agent, handed_in: 18, submitted: Some(50) }),
        ),
        ("concluded", Fact::Concluded(concluded)),
        ("let go", Fact::LetGo(LetGo { lease: lease(3), code: "released".into(), agent: None })),
        (
            "introduced, and nothing won",
            Fact::Introduced(Introduced {
                agent: member(9).id,
                node: peer(2),
                name: "Eve".into(),
                skills: vec![],
                delegation: None,
                warrant: None,
                will: "artel statement\n".into(),
                signature,
            }),
        ),
        ("forgotten", Fact::Forgotten(Forgotten { agent: member(9).id })),
    ];
    let mut entries = without_correlation(dated(facts));
    entries.extend(lot_entries(entries.len() as u64));
    let over = Fact::DelegationEnded(DelegationEnded { agent, before: BEGIN });
    let over = Entry { correlation: None, ..at(entries.len() as u64, over) };
    entries.push(("delegation ended", over));
    let (concluded, paid) = (lease(4), Credits(4_000_000));
    entries.extend(numbered(
        entries.len() as u64,
        vec![
            ("undertaken a fourth time", undertaken(4)),
            ("outgoing a third time", outgoing(4, None)),
            ("handed in a third time", handed_in(4, Authority::Delegated)),
            (
                "concluded with what was paid",
                Fact::Concluded(Concluded {
                    lease: concluded,
                    verdict: 61,
                    judgement,
                    agent: Some(agent),
                    paid: Some(paid),
                }),
            ),
            (
                "refuted away",
                Fact::RefutedAway(RefutedAway { lease: concluded, agent, refuted: 70, recalled: paid }),
            ),
            ("undertaken a fifth time", undertaken(5)),
            (
                "let go of an agent's",
                Fact::LetGo(LetGo { lease: lease(5), code: "finished".into(), agent: Some(agent) }),
            ),
        ],
    ));
    entries.extend(withdrawn_entries(entries.len() as u64));
    entries
}

/// Facts as entries that stand from an index on.
fn numbered(first: u64, facts: Vec<(&'static str, Fact)>) -> Vec<(&'static str, Entry)> {
    let numbered = facts.into_iter().zip(first..);
    without_correlation(numbered.map(|((name, fact), n)| (name, at(n, fact))).collect())
}

/// A run of one step, posted, offered and taken by the guest.
fn taken_by_the_guest(run: RunId, names: [&'static str; 3]) -> Vec<(&'static str, Fact)> {
    let (step, epoch) = (run.step(0), Epoch(1));
    let posted = RunPosted {
        run,
        poster: Poster::Operator,
        name: "count".into(),
        inputs: json("{}"),
        priority: 0,
        steps: vec![StepSpec { name: "count".into(), needs: vec![], task: task_with_runner() }],
        post_key: None,
        attempts_max: 3,
        lapses_max: 3,
        salt: RUN_SALT,
    };
    let offered = Offered {
        step,
        epoch,
        skills: skills(&["count@2"]),
        complexity: Complexity::Simple,
        level_min: Some(Level::Novice),
        reward: Credits::ZERO,
        deadline: BEGIN.plus_ms(3_600_000),
        terms: terms_of(step, &task_with_runner()),
        window_ms: 0,
        top: 8,
        verdict_within_ms: 600_000,
    };
    let (agent, level, authority) = (member(2).id, Level::Novice, Authority::Own);
    let granted = Granted { step, epoch, agent, level, bound: 0, lease_ms: 60_000, authority };
    let facts = [Fact::RunPosted(posted), Fact::Offered(offered), Fact::Granted(granted)];
    names.into_iter().zip(facts).collect()
}

/// A run that is cancelled while the guest holds its step. They stand from an index on.
fn withdrawn_entries(first: u64) -> Vec<(&'static str, Entry)> {
    let run = RunId::new(BEGIN, [5; 9]);
    let (step, epoch, agent) = (run.step(0), Epoch(1), member(2).id);
    let names = ["run posted that is cancelled", "offered in vain", "granted in vain"];
    let mut facts = taken_by_the_guest(run, names);
    facts.extend([
        ("its cancelling asked", Fact::CancelAsked(CancelAsked { run, step: None, by: Poster::Operator })),
        ("withdrawn", Fact::Withdrawn(LeaseEnded { step, epoch, agent })),
        ("ended under a lease", Fact::StepEnded(StepEnded { step, end: End::Cancelled })),
    ]);
    numbered(first, facts)
}

/// A further submission of the guest, and its lot, which two of three witnesses drew. They stand from an index on.
fn lot_entries(first: u64) -> Vec<(&'static str, Entry)> {
    let (guest, run, epoch) = (member(2).id, RunId::new(BEGIN, [6; 9]), Epoch(1));
    let (step, salt, output) = (run.step(0), Salt([9; 16]), json(r#"{"lines":3}"#));
    let result = Opening { salt, output: output.digest(), artifacts: vec![] }.result();
    let handed_at = Some(HandedAt { node: peer(2), incarnation: 1, index: 78 });
    let authority = Authority::Own;
    let submitted = Submitted { step, epoch, agent: guest, result, authority, late: false, handed_at };
    let names = ["run posted once more", "offered once more", "granted once more"];
    let mut facts = taken_by_the_guest(run, names);
    facts.push(("output once more", Fact::Output(Output { step, epoch, salt, output, artifacts: vec![] })));
    facts.push(("submitted once more", Fact::Submitted(submitted)));
    let mut entries = numbered(first, facts);
    let submitted = first + entries.len() as u64 - 1;
    let digest = Digest::of(&entries.last().expect("the submission").1.encode());
    let journal = Origin::new(genesis().id(), identity().node, 0);
    let picked = lot::pick(&digest, (3..=6).map(peer).collect());
    let witnesses = picked.into_iter().enumerate().map(|(n, node)| Witnessing {
        node,
        cosigned: (n != 1).then(|| {
            let (size, root) = (submitted + 1 + n as u64, Hash([n as u8 + 1; 32]));
            let checkpoint = Checkpoint::new(journal, size, root).expect("plain");
            let at_s = BEGIN.0 / 1_000 + n as u64;
            let made = Cosignature::sign(&checkpoint, &peer_key(&node), at_s).expect("a plain time");
            Cosigned { size, root, at_s, signature: made.signature() }
        }),
    });
    let witnesses: Vec<Witnessing> = witnesses.collect();
    let lot = lot::drawn_by(&digest, &witnesses).expect("two have cosigned");
    let drawn = redo::draws(&lot, 700);
    let lot = Lot { step, epoch, agent: guest, submitted, rate: 700, witnesses, lot, drawn };
    assert_eq!(lot.verify(&digest, &journal), Ok(()));
    entries.extend(without_correlation(vec![("lot", at(submitted + 1, Fact::Lot(lot)))]));
    entries
}

fn peer_key(node: &NodeId) -> SecretKey {
    let keys = (0..9).map(|n| SecretKey::from_seed(&[100 + n; 32]));
    let mut keys = keys.filter(|key| NodeId(key.public()) == *node);
    keys.next().expect("the key of a peer of these tests")
}

/// Public entries have no correlation in a journal.
fn without_correlation(mut entries: Vec<(&'static str, Entry)>) -> Vec<(&'static str, Entry)> {
    for (_, entry) in entries.iter_mut().filter(|(_, entry)| entry.fact.class() == Class::Public) {
        entry.correlation = None;
    }
    entries
}

pub fn all_journals() -> Vec<(&'static str, Entry)> {
    [journal(), node_journal(), abroad_journal()].concat()
}
