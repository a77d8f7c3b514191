//! Members that say what no honest node says, to a real node and over real connections: each is refused, counted under its
//! reason and loses score by it, and the next honest one is served.

use crate::liar::{Answers, Liar};
use crate::mesh::{founder, invite, member, post};
use crate::reputation::frames;
use crate::{artel, fresh};
use artel_audit::memory::MemoryDisk;
use artel_audit::os::OsFiles;
use artel_audit::{Commit, Journal, KeyRing, NewEntry, Options};
use artel_federation::commitment::Salt;
use artel_federation::exchange::topic_of;
use artel_federation::fact::{Authority, DelegationEnded, Granted, Offered};
use artel_federation::options::CHALLENGE_MS;
use artel_federation::redo::message::REDO_KIND;
use artel_federation::visit::message::{
    Act, Fetch, Handing, Served, Told, VISIT_KIND, Visit, Wanted, Warrant,
};
use artel_federation::visit::warrant::act_text;
use artel_federation::{Entry, Fact, Identity, Json};
use artel_mesh::{Protocol, RequestError, Topic};
use artel_node::bench::loss;
use artel_node::clock::wall;
use artel_protocol::amount::Credits;
use artel_protocol::continuity::Ask;
use artel_protocol::holes::HOLES_MAX;
use artel_protocol::id::{Digest, Epoch, FederationId, StepId};
use artel_protocol::key::{AgentId, NodeId, PublicKey};
use artel_protocol::log::Origin;
use artel_protocol::record::{self, Records};
use artel_protocol::skill::Skill;
use artel_protocol::summary::{Said, Scored, Summary};
use artel_protocol::sync::{Mark, Message, marks_digest};
use artel_protocol::time::Wall;
use artel_protocol::witness::HEAD_KIND;
use artel_reputation::{Complexity, Level};
use artel_tests::agent::{key_of, task};
use artel_tests::mesh::{LISTEN, admitted, held, items, until};
use artel_tests::{Node, wait};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::Value;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How many streams of a protocol one node may open to another.
const STREAMS: usize = artel_mesh::limits::STREAMS_PER_PEER_MAX;

/// Sooner than a stream on which nothing is said gives its place back.
const WITHOUT_WAITING: Duration = Duration::from_secs(15);

/// A founder, and nodes that joined it and have stopped since.
struct World {
    home: Node,
    invitation: String,
    dirs: Vec<TempDir>,
    origins: Vec<Origin>,
    dir: TempDir,
}

impl World {
    /// With so many members that have stopped, and invitations for `more`.
    fn start(stopped: usize, more: u32) -> Self {
        let home_dir = fresh();
        let home = founder(home_dir.path());
        let invitation = invite(home_dir.path(), u32::try_from(stopped).expect("few") + more);
        post(&home, 30);
        let dirs: Vec<TempDir> = (0..stopped).map(|_| fresh()).collect();
        let mut origins: Vec<Origin> = Vec::new();
        for dir in &dirs {
            let node = member(dir.path(), &invitation);
            until("it has what was said before", || held(&node, home.peer_id()) >= 30);
            for before in &origins {
                let before = before.node().key().peer_id();
                until("of the others, too", || held(&node, &before) > 0);
            }
            until("it is heard of", || held(&home, node.peer_id()) > 0);
            assert_eq!(node.stop().code, Some(0));
            let files = Arc::new(OsFiles::new(dir.path()));
            origins.push(artel_audit::verify::directory(files).expect("a journal").origin);
        }
        until("all are gone", || admitted(&home) == 0);
        World { home, invitation, dirs, origins, dir: home_dir }
    }

    /// The same after another start of the founder.
    fn restarted(self) -> Self {
        assert_eq!(self.home.stop().code, Some(0));
        let home = founder(self.dir.path());
        World { home, ..self }
    }

    fn home_origin(&self) -> Origin {
        Origin::new(self.origins[0].federation(), self.node(), 0)
    }

    fn node(&self) -> NodeId {
        NodeId(PublicKey::from_peer_id(self.home.peer_id()).expect("a peer id"))
    }

    /// The member of this number as a liar, connected.
    fn liar(&self, n: usize) -> Liar {
        let liar = self.liar_answering(n, Arc::new(|_, _| None));
        liar.until_admitted();
        liar
    }

    /// The same, with answers, and perhaps not let in yet, or not any more.
    fn liar_answering(&self, n: usize, answers: Answers) -> Liar {
        let to = (self.node(), &*self.home.listening()[0]);
        Liar::join_answering(self.dirs[n].path(), &self.origins[n], to, answers)
    }

    /// A frame of a journal as a stopped member keeps it, and the same with a byte changed, so that its proof does not hold.
    fn frame_of(&self, origin: &Origin, kept_by: usize) -> (Vec<u8>, Vec<u8>) {
        let kept = frames(self.dirs[kept_by].path()).into_iter().find(|frame| frame.origin == *origin);
        let good = kept.expect("it keeps some").bytes;
        let forged = (8..good.len()).rev().map(|at| {
            let mut forged = good.clone();
            forged[at] ^= 1;
            forged
        });
        let mut unproven = forged.filter(|forged| {
            matches!(Records::check(forged, &origin.federation()), Err(record::Error::Tree(_)))
        });
        let unproven = unproven.next().expect("a byte of a body, at least");
        (good, unproven)
    }

    /// A liar's score with the founder; nothing where it is not admitted.
    fn score(&self, n: usize) -> Option<f64> {
        let peer_id = self.origins[n].node().key().peer_id();
        let peers = items(&self.home, "/v1/peers");
        let row = peers.iter().find(|peer| peer["peer_id"] == *peer_id && peer["status"] == "admitted")?;
        row["score"].as_f64()
    }

    /// How often the founder has refused something for a reason.
    fn refused(&self, reason: &str) -> u64 {
        let traffic: Value = self.home.operator().get("/v1/traffic").is(200);
        traffic["refused"][reason].as_u64().unwrap_or_default()
    }

    /// What an honest member says now reaches the founder.
    fn serves(&self, honest: &Node) {
        let before = held(&self.home, honest.peer_id());
        post(honest, 1);
        until("an honest node is served", || held(&self.home, honest.peer_id()) > before);
    }

    /// What an agent says at the founder's market through a node that it signs for itself.
    fn visit(&self, agent: &str, act: Act) -> Vec<u8> {
        let (key, at) = (key_of(agent), wall());
        let skills = vec![Skill::parse("text").expect("a skill")];
        let home = Identity { node: self.node(), federation: self.origins[0].federation() };
        let id = AgentId(key.public());
        let signature = key.sign(act_text(&home, &id, &skills, &act, at).as_bytes());
        let warrant = Warrant::Own { at, signature };
        Visit { agent: id, name: agent.into(), skills, warrant, act }.to_frame()
    }
}

fn frame(kind: u16, version: u16, payload: &[u8]) -> Vec<u8> {
    let bytes = u32::try_from(payload.len()).expect("few").to_le_bytes();
    [&kind.to_le_bytes()[..], &version.to_le_bytes(), &bytes, payload].concat()
}

/// The same frame with another payload.
fn changed(frame_of: &[u8], payload: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = frame_of[8..].to_vec();
    payload(&mut bytes);
    frame(u16::from_le_bytes([frame_of[0], frame_of[1]]), 1, &bytes)
}

#[test]
fn members_that_hold_all_the_streams_they_can_shut_nobody_out() {
    let world = World::start(4, 1);
    let liars: Vec<Liar> = (0..4).map(|n| world.liar(n)).collect();
    // Nothing is said on them.
    let mut idle = Vec::new();
    for (n, liar) in liars.iter().enumerate() {
        let protocol = if n % 2 == 0 { Protocol::Sync } else { Protocol::Blob };
        idle.extend((0..STREAMS).map(|_| liar.open(protocol).expect("the mesh lets it")));
    }
    let dir = fresh();
    let honest = member(dir.path(), &world.invitation);
    wait::until_within(WITHOUT_WAITING, "the newcomer has the history", || {
        (held(&honest, world.home.peer_id()) >= 30).then_some(())
    });
    assert!(world.refused("sync_places") > 0, "the liars' share is less than they wanted");
    until("the idle ones are ended", || world.refused("sync_slow") + world.refused("blob_slow") >= 16);
    drop(idle);
}

#[test]
fn what_no_honest_node_gossips_is_refused_with_its_reason() {
    let world = World::start(1, 1);
    let dir = fresh();
    let honest = member(dir.path(), &world.invitation);
    until("an honest one is there", || admitted(&honest) == 1);
    let (good, forged) = world.frame_of(&world.home_origin(), 0);
    let other = Origin::new(FederationId([9; 32]), world.origins[0].node(), 0);
    let scored = Scored { agent: AgentId(key_of("ada").public()), score: 1, lower: 1, receipts_micro: 1 };
    let said =
        Said { viewer: other, at: wall(), heads: marks_digest(&[]), marks: vec![], scores: vec![scored] };
    let key = artel_node::data::read_key(&world.dirs[0].path().join("node.key")).expect("a key");
    let foreign = Summary::sign(said, &key).expect("within bounds");
    let rows: [(Topic, Vec<u8>, &str); 8] = [
        (Topic::Agents, b"cut".to_vec(), "gossip_malformed"),
        (Topic::Agents, changed(&good, |bytes| bytes.push(0)), "gossip_malformed"),
        (Topic::Agents, frame(0x0110, 9, &good[8..]), "gossip_version"),
        (Topic::Agents, forged, "gossip_proof"),
        (Topic::Heads, good.clone(), "gossip_entry"),
        (Topic::Trust, frame(HEAD_KIND, 1, b"a head"), "gossip_misplaced"),
        (Topic::Trust, foreign.bytes().to_vec(), "gossip_foreign"),
        (Topic::Heads, frame(HEAD_KIND, 1, b"a head"), "gossip_malformed"),
    ];
    let liar = world.liar(0);
    // All at once: who has said a few wrong things is soon not heard any more.
    for (topic, bytes, _) in &rows {
        until("gossip takes it", || liar.gossip(*topic, bytes));
    }
    for (_, _, reason) in &rows {
        let times = rows.iter().filter(|row| row.2 == *reason).count() as u64;
        until(reason, || world.refused(reason) == times);
    }
    assert_eq!(world.refused("gossip_rejected"), rows.len() as u64);
    until("it has lost score", || world.score(0).is_none_or(|score| score < 0.0));
    world.serves(&honest);
}

/// What a member's own later journal says, as frames by topic; no rules fold it, so it may say anything.
fn journal(world: &World, n: usize, facts: Vec<Fact>) -> Vec<(Topic, Vec<u8>)> {
    let key = artel_node::data::read_key(&world.dirs[n].path().join("node.key")).expect("a key");
    let origin = Origin::new(world.origins[n].federation(), world.origins[n].node(), 1);
    let (ring, entropy) = (KeyRing::generate(&mut StdRng::seed_from_u64(3)), StdRng::seed_from_u64(4));
    let files = Arc::new(MemoryDisk::new());
    let opened = Journal::open(files, Options::new(origin), Arc::new(key), Arc::new(ring), Box::new(entropy));
    let mut journal = opened.expect("a good disk").journal;
    let topics: Vec<Topic> = facts.iter().map(|fact| topic_of(fact).expect("a public fact")).collect();
    for fact in facts {
        let entry = Entry { at: wall(), correlation: None, fact };
        let mut commit = Commit::<()>::new();
        commit.frame(vec![NewEntry { class: entry.fact.class(), body: entry.encode() }]).expect("room");
        drop(journal.commit(commit).expect("a good disk"));
    }
    journal.checkpoint().expect("a good disk");
    let reader = journal.reader();
    let frame = |index: u64| reader.records(&[index]).expect("it stands there").bytes().to_vec();
    topics.into_iter().zip(0..).map(|(topic, index)| (topic, frame(index))).collect()
}

#[test]
fn a_home_whose_own_log_grants_twice_is_shown_and_left_alone() {
    let world = World::start(1, 0);
    let step = StepId::parse("01900000-0000-7000-8000-000000000001").expect("a step");
    let offered = Fact::Offered(Offered {
        step,
        epoch: Epoch(1),
        skills: vec![Skill::parse("text").expect("a skill")],
        complexity: Complexity::Simple,
        level_min: None,
        reward: Credits::ZERO,
        deadline: wall().plus_ms(3_600_000),
        terms: Digest::of(b""),
        window_ms: 0,
        top: 8,
        verdict_within_ms: 600_000,
    });
    let granted = |to: &str| {
        Fact::Granted(Granted {
            step,
            epoch: Epoch(1),
            agent: AgentId(key_of(to).public()),
            level: Level::Novice,
            bound: 0,
            lease_ms: 60_000,
            authority: Authority::Session,
        })
    };
    let mut later = offered.clone();
    if let Fact::Offered(offer) = &mut later {
        offer.step = StepId::parse("01900000-0000-7000-8000-000000000002").expect("a step");
    }
    let said = journal(&world, 0, vec![offered, granted("ada"), granted("eve"), later]);
    let liar = world.liar(0);
    let origin = Origin::new(world.origins[0].federation(), world.origins[0].node(), 1).to_string();
    let home = || {
        let did = world.origins[0].node().to_string();
        items(&world.home, "/v1/homes").into_iter().find(|home| home["node_id"] == did.as_str())
    };
    for ((topic, bytes), n) in said.iter().zip(1..) {
        until("gossip takes it", || liar.gossip(*topic, bytes));
        until("it is kept", || {
            let journals = items(&world.home, "/v1/journals");
            journals.iter().any(|row| row["origin"] == origin.as_str() && row["held_up_to"] == n)
        });
        if n == 1 {
            until("it is on the board", || items(&world.home, "/v1/offers").len() == 1);
        }
    }
    until("it is found out", || home().is_some_and(|home| home["breaches"] == 1));
    let breach = home().expect("it is known")["breach"].to_string();
    assert!(breach.contains("entry 2") && breach.contains("granted to a second agent at once"), "{breach}");
    assert_eq!(items(&world.home, "/v1/offers"), Vec::<Value>::new(), "what it offers since is not listed");
}

#[test]
fn no_home_serves_a_node_on_a_delegation_that_it_said_to_be_over() {
    let world = World::start(1, 0);
    let (key, node) = (key_of("ada"), world.origins[0].node());
    let (agent, federation) = (AgentId(key.public()), world.origins[0].federation());
    let delegated = |made: Wall| {
        let (expires, until) = (made.plus_ms(CHALLENGE_MS).iso8601(), made.plus_ms(3_600_000));
        let challenge = format!(
            "artel enrollment\npurpose: enroll this key as an agent\nfederation: {federation}\nnode: {node}\nagent: {agent}\nname: ada\nnonce: 00\nexpires: {expires}\ndelegates: this node may claim, renew and submit in the agent's name until {}\n",
            until.iso8601()
        );
        let signature = key.sign(challenge.as_bytes());
        let skills = vec![Skill::parse("text").expect("a skill")];
        let warrant = Warrant::Delegated { challenge, until, signature };
        let act = Act::ClaimNext { wait_ms: 20_000 };
        Visit { agent, name: "ada".into(), skills, warrant, act }
    };
    let now = wall();
    let (old, at_once) = (delegated(now), Act::ClaimNext { wait_ms: 0 });
    let liar = world.liar(0);
    let told = |liar: &Liar, visit: &Visit| {
        Told::read(&liar.ask(&visit.to_frame()).expect("an answer")).expect("a word")
    };
    let tells =
        |liar: &Liar, visit: &Visit| match told(liar, &Visit { act: at_once.clone(), ..visit.clone() }) {
            Told::Refused { code, .. } => Some(code),
            Told::Nothing => None,
            other => panic!("{other:?}"),
        };
    assert_eq!(tells(&liar, &old), None, "it may ask");
    let before = wall();
    let said = journal(&world, 0, vec![Fact::DelegationEnded(DelegationEnded { agent, before })]);
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| told(&liar, &old));
        until("its claim waits", || world.home.operator().get("/v1/traffic").is(200)["claims_waiting"] == 1);
        let since = Instant::now();
        until("gossip takes it", || liar.gossip(said[0].0, &said[0].1));
        assert_eq!(waits.join().expect("an answer"), Told::Nothing);
        assert!(since.elapsed() < WITHOUT_WAITING, "it waited to its end");
    });
    assert_eq!(tells(&liar, &old).as_deref(), Some("bad_statement"));
    assert_eq!(tells(&liar, &delegated(before.plus_ms(1))), None, "what was delegated since stands");
    // Another start knows it still.
    drop(liar);
    until("it is gone", || admitted(&world.home) == 0);
    let world = world.restarted();
    let liar = world.liar(0);
    assert_eq!(tells(&liar, &old).as_deref(), Some("bad_statement"));
}

#[test]
fn wrong_questions_cost_score_until_their_node_is_sent_away() {
    let world = World::start(1, 1);
    let dir = fresh();
    let honest = member(dir.path(), &world.invitation);
    until("an honest one is there", || admitted(&honest) == 1);
    let liar = world.liar(0);
    let other = Origin::new(FederationId([9; 32]), world.node(), 0);
    let foreign = Ask::new(other, vec![1]).expect("one size").to_frame();
    let unknown = Fetch {
        step: StepId::parse("01900000-0000-7000-8000-000000000001").expect("a step"),
        epoch: Epoch(1),
        what: Wanted::Lease,
    };
    let direct = [
        (b"cut".to_vec(), "direct_malformed", true),
        (frame(VISIT_KIND, 9, b""), "direct_version", true),
        (frame(REDO_KIND, 1, b"no redo"), "direct_malformed", true),
        (foreign, "direct_foreign", true),
        (frame(0x0fff, 1, b"of a later version"), "direct_kind", false),
    ];
    let streams = [
        (Protocol::Sync, Message::Same.encode(), "sync_turn", true),
        (Protocol::Sync, frame(0x0fff, 1, b""), "sync_version", true),
        (
            Protocol::Sync,
            [&0x0123_u16.to_le_bytes()[..], &[1, 0], &[0xff; 4]].concat(),
            "sync_malformed",
            true,
        ),
        (Protocol::Blob, frame(0x0132, 1, b"no fetch"), "blob_malformed", true),
        (Protocol::Blob, unknown.to_frame(), "blob_stale_epoch", false),
    ];
    let mut blamed = 0;
    for (n, (bytes, reason, wrong)) in direct.iter().enumerate() {
        let times = direct[..=n].iter().filter(|row| row.1 == *reason).count() as u64;
        assert_eq!(liar.ask(bytes), Err(RequestError::Refused), "{reason}");
        until(reason, || world.refused(reason) == times);
        blamed += u64::from(*wrong);
        until("it is counted against it", || world.refused("blamed") == blamed);
    }
    for (protocol, bytes, reason, wrong) in streams {
        let answer = liar.say_on(protocol, &bytes);
        assert!(answer.is_empty() || !wrong, "{reason}");
        until(reason, || world.refused(reason) == 1);
        blamed += u64::from(wrong);
        until("it is counted against it", || world.refused("blamed") == blamed);
    }
    assert_eq!(blamed, 8);
    let score = world.score(0).expect("it is still there");
    assert!(score < -30.0, "{score}");
    world.serves(&honest);
    until("it is sent away", || {
        // It may be gone by now.
        let _ = liar.ask(b"cut");
        world.refused("score") == 1
    });
    until("and kept off", || world.refused("kept_off") >= 1);
    assert_eq!(world.score(0), None);
    world.serves(&honest);
}

#[test]
fn wrong_answers_are_counted_and_keep_nothing() {
    let world = World::start(2, 1);
    let dir = fresh();
    let honest = member(dir.path(), &world.invitation);
    until("an honest one is there", || admitted(&honest) == 1);
    let peer_id = world.origins[0].node().key().peer_id();
    let before = held(&world.home, &peer_id);
    // It says that it has more of its own journal, and then sends what no journal holds.
    let own = world.origins[0];
    let (_, forged) = world.frame_of(&own, 1);
    let liar = world.liar_answering(
        0,
        Arc::new(move |protocol, asked| match (protocol, Message::decode(asked)) {
            (Protocol::Sync, Ok(Message::Ask(_))) => {
                Some(Message::Marks(vec![Mark { origin: own, next: 1_000 }]).encode())
            }
            (Protocol::Sync, Ok(Message::Want(_))) => Some(forged.clone()),
            _ => None,
        }),
    );
    until("what it sends is refused", || world.refused("sync_proof") >= 1);
    until("it is sent away", || world.refused("sent_away") >= 1);
    assert_eq!(held(&world.home, &peer_id), before, "nothing of it is kept");
    drop(liar);
    world.serves(&honest);

    // An agent of the second one wins a task, and of its artifacts one has other bytes than it names, one is of another size on
    // its second stream, and one comes whole on two.
    let posted = world.home.operator().post("/v1/tasks", &task("carry", &["text"], 1)).is(201);
    let step = StepId::parse(posted["task_id"].as_str().expect("an id")).expect("a step");
    let (promised, whole) = (Digest::of(b"what was promised"), b"bytes that come in two pieces");
    let shrinking = Digest::of(b"what gets smaller");
    let starts: Arc<Mutex<Vec<u64>>> = Arc::default();
    let seen = starts.clone();
    let liar = world.liar_answering(
        1,
        Arc::new(move |protocol, asked| {
            let Wanted::Artifact { digest, start } = Fetch::read(asked).ok()?.what else { return None };
            if protocol != Protocol::Blob || digest == promised {
                return Some([&Served::Bytes(5).to_frame()[..], b"other"].concat());
            }
            if digest == shrinking {
                return Some([&Served::Bytes(5).to_frame()[..], b"4 of"].concat());
            }
            seen.lock().expect("no panic").push(start);
            let left = &whole[usize::try_from(start).expect("few")..];
            let sent = if start == 0 { &left[..10] } else { left };
            Some([&Served::Bytes(left.len() as u64).to_frame()[..], sent].concat())
        }),
    );
    liar.until_admitted();
    let told = liar.ask(&world.visit("eve", Act::Claim(step))).expect("an answer");
    let Ok(Told::Leased(lease)) = Told::read(&told) else { panic!("{:?}", Told::read(&told)) };
    let with = |artifacts| Handing {
        step,
        epoch: lease.epoch,
        output: Json::new(*b"{}"),
        salt: Salt([1; 16]),
        artifacts,
        incarnation: 0,
        index: 1,
        next: None,
    };
    let stored = |digest: Digest| world.home.operator().get(&format!("/v1/artifacts/{digest}"));
    for (n, digest) in [(1, promised), (2, shrinking)] {
        let handing = with(vec![digest]);
        let told = liar.ask(&world.visit("eve", Act::Submit(Box::new(handing)))).expect("an answer");
        let told = Told::read(&told).expect("an answer");
        assert!(matches!(&told, Told::Refused { code, .. } if code == "artifact_missing"), "{told:?}");
        assert_eq!((world.refused("blob_bytes"), world.refused("direct_artifact_missing")), (n, n));
        until("it has lost score", || world.score(1).is_some_and(|score| score < 0.0));
        assert_eq!(stored(digest).status, 404, "nothing is kept");
    }
    // The same lease with a result that is honest is taken.
    let handing = with(vec![Digest::of(whole)]);
    let told = liar.ask(&world.visit("eve", Act::Submit(Box::new(handing)))).expect("an answer");
    assert!(matches!(Told::read(&told), Ok(Told::Submitted { .. })), "{:?}", Told::read(&told));
    assert_eq!(*starts.lock().expect("no panic"), [0, 10], "it goes on where the stream broke");
    assert_eq!(stored(Digest::of(whole)).body, whole);
    let shown = artel().run(["peers", "--refused", "--data", world.dir.path().to_str().expect("UTF-8")]);
    assert!(shown.ok().contains("blob_bytes"), "{}", shown.stdout);
    world.serves(&honest);
}

#[test]
fn holes_that_no_store_has_are_refused_and_counted() {
    let world = World::start(1, 0);
    let liar = world.liar(0);
    let wanted = |ranges: &[(u64, u64)]| {
        let mut payload =
            Message::Want(Mark { origin: world.home_origin(), next: ranges.len() as u64 }).encode();
        payload.drain(..8);
        payload.extend(ranges.iter().flat_map(|(start, end)| [*start, *end]).flat_map(u64::to_le_bytes));
        frame(0x0125, 1, &payload)
    };
    let answer = liar.say_on(
        Protocol::Sync,
        &[Message::Ask(marks_digest(&[])).encode(), wanted(&[(0, 1), (5, 7)])].concat(),
    );
    assert!(answer.len() > 1_000, "what is in order is answered: {} bytes", answer.len());
    let many: Vec<(u64, u64)> = (0..=HOLES_MAX as u64).map(|n| (2 * n, 2 * n + 1)).collect();
    let wrong: [&[(u64, u64)]; 7] =
        [&[], &[(5, 5)], &[(5, 8), (7, 9)], &[(7, 8), (5, 6)], &[(5, 7), (7, 8)], &[(5, u64::MAX)], &many];
    for (n, ranges) in wrong.iter().enumerate() {
        let n = n as u64 + 1;
        assert!(liar.say_on(Protocol::Sync, &wanted(ranges)).is_empty(), "{:?}", ranges.first());
        until("it is counted", || world.refused("sync_malformed") == n);
        until("it is counted against it", || world.refused("blamed") == n);
    }
    // Without a question what there is nothing may be wanted.
    assert!(liar.say_on(Protocol::Sync, &wanted(&[(0, 1)])).is_empty());
    until("that is counted, too", || world.refused("sync_turn") == 1);
}

#[test]
fn other_records_than_the_lost_ones_are_refused_and_not_kept() {
    let world = World::start(2, 1);
    let other = world.origins[1];
    let peer_id = other.node().key().peer_id();
    let node = artel().up(world.dirs[1].path()).arg("--listen").arg(LISTEN).start();
    until("it is there", || admitted(&world.home) == 1);
    let before = held(&world.home, &peer_id);
    post(&node, 30);
    until("its offers are kept", || held(&world.home, &peer_id) >= before + 30);
    assert_eq!(node.stop().code, Some(0));
    let World { home, invitation, dirs, origins, dir } = world;
    assert_eq!(home.stop().code, Some(0));
    let lost = loss::lose(dir.path(), &[other.node().key().did()], 1).expect("its store").remove(0);
    let is_lost =
        |records: &Records| records.records().iter().any(|record| lost.contains(&record.public_seq));
    let kept = frames(dir.path()).into_iter().filter(|frame| frame.origin == other);
    let kept: Vec<Records> =
        kept.map(|frame| Records::check(&frame.bytes, &other.federation()).expect("it holds")).collect();
    let else_kept =
        kept.into_iter().find(|records| !is_lost(records)).expect("there is more").bytes().to_vec();
    let home = founder(dir.path());
    let world = World { home, invitation, dirs, origins, dir };
    until("it finds out", || held(&world.home, &peer_id) == *lost.first().expect("one"));
    let liar = world.liar_answering(
        0,
        Arc::new(move |protocol, asked| match (protocol, Message::decode(asked)) {
            (Protocol::Sync, Ok(Message::Ask(_))) => {
                Some(Message::Marks(vec![Mark { origin: other, next: 1_000 }]).encode())
            }
            (Protocol::Sync, Ok(Message::Holes(_))) => Some(else_kept.clone()),
            _ => None,
        }),
    );
    until("what it sends is refused", || world.refused("sync_turn") >= 1);
    until("it is sent away", || world.refused("sent_away") >= 1);
    drop(liar);
    assert_eq!(held(&world.home, &peer_id), *lost.first().expect("one"), "nothing of it fills the hole");
}

/// A neighbour of the version before ends the stream at a question for holes, and would hold more of them against whoever says them.
#[test]
fn who_ends_the_stream_at_holes_is_asked_once_and_then_for_all_behind_the_first_one() {
    let world = World::start(2, 1);
    let other = world.origins[1];
    let peer_id = other.node().key().peer_id();
    let node = artel().up(world.dirs[1].path()).arg("--listen").arg(LISTEN).start();
    until("it is there", || admitted(&world.home) == 1);
    let before = held(&world.home, &peer_id);
    post(&node, 30);
    until("its offers are kept", || held(&world.home, &peer_id) >= before + 30);
    assert_eq!(node.stop().code, Some(0));
    let World { home, invitation, dirs, origins, dir } = world;
    assert_eq!(home.stop().code, Some(0));
    let kept = frames(dir.path()).into_iter().filter(|frame| frame.origin == other);
    let all: Vec<u8> = kept.flat_map(|frame| frame.bytes).collect();
    let lost = loss::lose(dir.path(), &[other.node().key().did()], 1).expect("its store").remove(0);
    let home = founder(dir.path());
    let world = World { home, invitation, dirs, origins, dir };
    let lost = *lost.first().expect("one");
    until("it finds out", || held(&world.home, &peer_id) == lost);
    let asked = Arc::new(Mutex::new(0));
    let asks = asked.clone();
    let older = world.liar_answering(
        0,
        Arc::new(move |protocol, question| match (protocol, Message::decode(question)) {
            (Protocol::Sync, Ok(Message::Ask(_))) => {
                Some(Message::Marks(vec![Mark { origin: other, next: 1_000 }]).encode())
            }
            (Protocol::Sync, Ok(Message::Holes(_))) => {
                *asks.lock().expect("nothing panics") += 1;
                None
            }
            (Protocol::Sync, Ok(Message::Want(want))) if want.next <= lost => {
                Some([all.clone(), Message::End { next: 1_000 }.encode()].concat())
            }
            _ => None,
        }),
    );
    until("the hole is filled", || held(&world.home, &peer_id) > lost);
    assert_eq!(*asked.lock().expect("nothing panics"), 1);
    assert_eq!(world.refused("blamed"), 0);
    drop(older);
}

/// What one neighbour is asked for no other one is, as long as something may come of it, and no longer.
#[test]
fn a_journal_is_wanted_of_one_neighbour_and_of_the_next_where_that_one_says_nothing() {
    let world = World::start(3, 0);
    let other = world.origins[2];
    /// When a liar was asked first what there is, and when for the journal.
    type Heard = Arc<Mutex<(Option<Instant>, Option<Instant>)>>;
    // It says that it has more of the journal, and then nothing.
    let silent = |heard: &Heard| -> Answers {
        let heard = heard.clone();
        Arc::new(move |protocol, asked| {
            let mut heard = heard.lock().expect("no panic");
            match (protocol, Message::decode(asked)) {
                (Protocol::Sync, Ok(Message::Ask(_))) => {
                    heard.0.get_or_insert_with(Instant::now);
                    Some(Message::Marks(vec![Mark { origin: other, next: 1_000 }]).encode())
                }
                (Protocol::Sync, Ok(Message::Want(_))) => {
                    heard.1.get_or_insert_with(Instant::now);
                    Some(Vec::new())
                }
                _ => None,
            }
        })
    };
    let (first, second) = (Heard::default(), Heard::default());
    let wanted = |heard: &Heard| heard.lock().expect("no panic").1;
    let _first = world.liar_answering(0, silent(&first));
    until("the first one is asked", || wanted(&first).is_some());
    let _second = world.liar_answering(1, silent(&second));
    until("the second one is asked", || wanted(&second).is_some());
    let begun = wanted(&first).expect("asked");
    let asked = second.lock().expect("no panic").0.expect("asked what there is") - begun;
    let between = wanted(&second).expect("asked") - begun;
    println!("the second one was asked what there is after {asked:?}, and for the journal after {between:?}");
    // The first one has two seconds to say something; on a machine that stands still the second one may come after them.
    let came_in_time = asked < Duration::from_millis(500);
    assert!(!came_in_time || between > Duration::from_secs(1), "both were asked for the same: {between:?}");
    assert!(between < WITHOUT_WAITING, "the first one held the journal back: {between:?}");
}
