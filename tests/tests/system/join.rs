//! Joining a federation with real processes: an invitation from one node is what another begins its journal with.

use crate::mesh::{founder, invite, member, post};
use crate::{artel, fresh};
use artel_tests::mesh::{LISTEN, held, items, until};
use artel_tests::{Done, Node};
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

fn run(args: &[&str], data: &Path) -> Done {
    let mut all: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    all.extend(["--json".into(), "--data".into(), data.display().to_string()]);
    artel().run(all)
}

fn invitation(args: &[&str], data: &Path) -> String {
    let all: Vec<&str> = ["invite"].iter().chain(args).copied().collect();
    run(&all, data).json()["invitation"].as_str().expect("an invitation").to_owned()
}

#[test]
fn a_node_joins_by_an_invitation_and_stays() {
    let (first, second, third) = (fresh(), fresh(), fresh());
    let founder = artel().up(first.path()).arg("--listen").arg("/ip4/127.0.0.1/tcp/0").start();
    let made = run(&["invite", "--uses", "3", "--for", "2h"], first.path()).json();
    let text = made["invitation"].as_str().expect("an invitation");
    assert!(text.starts_with("artel-invitation-1:"), "{text}");
    let address = made["addresses"][0].as_str().expect("an address");
    assert!(address.starts_with("/ip4/127.0.0.1/tcp/") && !address.ends_with("/0"), "{address}");
    assert_eq!((&made["uses"], &made["federation_id"]), (&json!(3), &json!(founder.federation())));
    let listed = run(&["invite", "list"], first.path()).json();
    assert_eq!(
        (&listed["items"][0]["digest"], &listed["items"][0]["status"]),
        (&made["digest"], &json!("live"))
    );

    let joined = artel().up(second.path()).arg("--join").arg(text).start();
    assert_eq!(joined.federation(), founder.federation());
    let events = joined.operator().get("/v1/events").is(200);
    assert_eq!(events["items"][0]["event_name"], "xyn.federation.joined");
    let kept = second.path().join("invitation");
    assert_eq!(fs::metadata(&kept).expect("kept").permissions().mode() & 0o7777, 0o600);
    assert_eq!(joined.stop().code, Some(0));
    let verified = artel().run(["audit", "verify", second.path().to_str().expect("UTF-8"), "--json"]).json();
    assert_eq!(verified["sound"], true, "{verified}");

    let again = artel().up(second.path()).start();
    assert_eq!(again.federation(), founder.federation(), "the journal says so");
    again.kill();
    let other = invitation(&[], first.path());
    let again = artel().up(second.path()).arg("--join").arg(&other).start();
    assert_eq!(again.federation(), founder.federation(), "the same federation again is fine");
    assert_eq!(fs::read_to_string(&kept).expect("kept"), other, "the newer invitation is kept");
    // A member of a federation by invitation invites too.
    let theirs = invitation(&[], second.path());
    let file = third.path().join("theirs.txt");
    fs::write(&file, format!("{theirs}\n")).expect("written");
    let dir = third.path().join("node");
    let third = artel().up(&dir).arg("--join").arg(format!("@{}", file.display())).start();
    assert_eq!(third.federation(), founder.federation());
}

#[test]
fn an_invitation_is_taken_back() {
    let dir = fresh();
    let _node = artel().up(dir.path()).start();
    let made = run(&["invite"], dir.path()).json();
    let digest = made["digest"].as_str().expect("a digest");
    assert_eq!(run(&["invite", "revoke", digest], dir.path()).json()["revoked"], true);
    assert_eq!(run(&["invite", "list"], dir.path()).json()["items"], json!([]));
    let again = run(&["invite", "revoke", digest], dir.path());
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.contains("artel invite list"), "{}", again.stderr);
}

#[test]
fn a_wrong_invitation_is_wrong_use_and_another_federations_directory_a_failure() {
    let (first, second) = (fresh(), fresh());
    let node = artel().up(first.path()).start();
    let text = invitation(&[], first.path());
    let other = artel().up(second.path()).start();
    assert_eq!(other.stop().code, Some(0));
    let up = |join: &str, data: &Path| {
        artel().run(["up", "--http", "127.0.0.1:0", "--data", data.to_str().expect("UTF-8"), "--join", join])
    };
    let elsewhere = up(&text, second.path());
    assert_eq!(elsewhere.code, Some(1), "{}", elsewhere.stderr);
    for wanted in [node.federation(), "another directory with --data"] {
        assert!(elsewhere.stderr.contains(wanted), "{}", elsewhere.stderr);
    }
    let mut changed = text.clone();
    changed.replace_range(60..61, if text.as_bytes()[60] == b'A' { "B" } else { "A" });
    let empty = fresh();
    for bad in
        ["", "artel-invitation-1:", "nonsense", &text[..text.len() - 5], &changed, "@/nowhere/invitation"]
    {
        let wrong = up(bad, &empty.path().join("node"));
        let code = if bad.starts_with('@') { 1 } else { 2 };
        assert_eq!(wrong.code, Some(code), "{bad}: {}", wrong.stderr);
        assert_eq!(wrong.stderr.trim_end().lines().count(), 1, "one sentence: {}", wrong.stderr);
    }
    assert!(!empty.path().join("node").exists(), "nothing was made");
    let bad_use = artel().run(["invite", "--for", "7", "--data", first.path().to_str().expect("UTF-8")]);
    assert_eq!(bad_use.code, Some(2));
}

/// How a node stands with another one, by its list of peers.
fn lets_in(node: &Node, peer: &str) -> bool {
    items(node, "/v1/peers").iter().any(|row| row["peer_id"] == peer && row["status"] == "admitted")
}

fn is_refused(node: &Node, code: &str) -> bool {
    items(node, "/v1/peers").iter().any(|row| row["reason"].as_str().is_some_and(|why| why.starts_with(code)))
}

/// The did of the one node that another one has let in.
fn did_of_member(node: &Node) -> String {
    let nodes = items(node, "/v1/nodes");
    let member = nodes.iter().find(|node| node["status"] == "member").expect("a member");
    member["node_id"].as_str().expect("a did").to_owned()
}

#[test]
fn whose_inviter_was_expelled_is_let_in_by_another_invitation() {
    let (a, b, c) = (fresh(), fresh(), fresh());
    let first = founder(a.path());
    let second = member(b.path(), &invite(a.path(), 1));
    until("it is let in", || lets_in(&first, second.peer_id()));
    let third = member(c.path(), &invite(b.path(), 1));
    until("a member lets the next one in", || lets_in(&second, third.peer_id()));
    assert_eq!(third.stop().code, Some(0));
    let expel = format!("/v1/nodes/{}/expel", did_of_member(&first));
    first.operator().post(&expel, &json!({"reason": "a test"})).is(200);
    assert_eq!(second.stop().code, Some(0));
    // What it shows hangs on a node that is out; the new invitation is what it has beside it.
    let invitation = invite(a.path(), 1);
    let third = member(c.path(), &invitation);
    until("it is let in anew", || lets_in(&first, third.peer_id()));
    // What it shows from now on is enough.
    assert_eq!(third.stop().code, Some(0));
    let third = artel().up(c.path()).arg("--listen").arg(LISTEN).start();
    until("and stays in", || lets_in(&first, third.peer_id()));
    assert!(!is_refused(&third, "node_expelled"));
}

#[test]
fn who_is_a_member_by_anothers_admission_is_let_in_whatever_it_shows() {
    let (a, b, c, d) = (fresh(), fresh(), fresh(), fresh());
    let first = founder(a.path());
    let invitation = invite(a.path(), 2);
    let second = member(b.path(), &invitation);
    until("it is let in", || lets_in(&first, second.peer_id()));
    let third = member(c.path(), &invite(b.path(), 1));
    until("a member lets the next one in", || lets_in(&second, third.peer_id()));
    assert_eq!(third.stop().code, Some(0));
    let did = did_of_member(&second);
    second.operator().post(&format!("/v1/nodes/{did}/expel"), &json!({"reason": "a test"})).is(200);
    // What it made public last is held there, so what it said before is, too.
    post(&second, 3);
    until("the founder knows it", || held(&first, second.peer_id()) >= 5);
    assert_eq!(second.stop().code, Some(0));
    let fourth = member(d.path(), &invitation);
    until("another member is there", || lets_in(&first, fourth.peer_id()));
    until("and heard of", || held(&first, fourth.peer_id()) > 0);
    let before = held(&first, fourth.peer_id());
    fourth.operator().post(&format!("/v1/nodes/{did}/admit"), &json!({})).is(200);
    until("the founder knows it", || held(&first, fourth.peer_id()) > before);
    // It shows what was taken back, and an invitation that is spent, which says where the founder is.
    let third = member(c.path(), &invitation);
    until("the founder lets it in", || lets_in(&first, third.peer_id()));
}
