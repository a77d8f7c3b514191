#!/usr/bin/env python3
"""Other people's libp2p in a federation of real nodes: what PROTOCOL.md promises to a stranger who writes a peer.

    python3 tests/interop/run.py PATH-TO-ARTEL -- js node js/peer.mjs -- py python py/peer.py

Each `-- NAME COMMAND…` is a peer: a program that takes orders as lines of JSON (see `js/peer.mjs`). For every pair of
neighbours in that circle a line A - first - B - second is built, of two nodes that cannot reach each other and two peers;
what A offers goes down the line, what the peers publish goes along it. One check a line; ends 1 at the first that fails.
"""
import hashlib
import json
import os
import pathlib
import select
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from datetime import datetime

# How long anything may take; nobody waits it out unless something is broken. Peers give up earlier and say at what.
DEADLINE = 30
SKILL = "text"
ROOT = pathlib.Path(__file__).resolve().parents[2]


class Failure(Exception):
    pass


checks = 0


def check(what, got, wanted):
    """One check, one line."""
    global checks
    if got != wanted:
        raise Failure(f"{what}\n  expected {wanted!r}\n  got      {got!r}")
    checks += 1
    print(f"ok  {what}")


def until(look, what):
    """Waits until `look` is content, and returns what it found."""
    end = time.monotonic() + DEADLINE
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise Failure(f"not within {DEADLINE} s: {what}")
        time.sleep(0.05)


class Child:
    """A process that says JSON objects, a line each."""

    def __init__(self, name, command, log):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ARTEL_")}
        self.name, self.log, self.rest = name, log, b""
        with open(log, "ab") as errors:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=environment)

    def line(self):
        end = time.monotonic() + DEADLINE
        while b"\n" not in self.rest:
            ready = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))[0]
            more = os.read(self.process.stdout.fileno(), 1 << 16) if ready else b""
            if not more:
                tail = pathlib.Path(self.log).read_text(errors="replace")[-2000:]
                raise Failure(f"{self.name} {'ended' if ready else 'says nothing'}; its errors end with:\n{tail}")
            self.rest += more
        line, self.rest = self.rest.split(b"\n", 1)
        return json.loads(line)

    def stop(self):
        self.process.stdin.close()
        self.process.terminate()
        try:
            self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise Failure(f"{self.name} does not stop")


class Node(Child):
    """A node on free ports. Stopped and started again it has other ports, so that nobody who knew it finds it."""

    def __init__(self, name, binary, directory, join=None):
        self.binary, self.data = binary, directory / name
        join = ["--join", join] if join else []
        super().__init__(name, [
            binary, "up", "--data", str(self.data), "--http", "127.0.0.1:0", "--listen", "/ip4/127.0.0.1/tcp/0",
            "--json", *join], directory / f"{name}.log")
        self.ready = self.line()
        self.peer = self.ready["peer_id"]
        self.listens = self.ready["listen_addrs"][0]
        self.address = f"{self.listens}/p2p/{self.peer}"
        self.token = pathlib.Path(self.ready["operator_token_file"]).read_text().strip()

    def get(self, path):
        request = urllib.request.Request(self.ready["http_url"] + path, headers={"Authorization": f"Bearer {self.token}"})
        with urllib.request.urlopen(request, timeout=DEADLINE) as response:
            return json.load(response)

    def run(self, *arguments):
        said = subprocess.run(
            [self.binary, *arguments, "--data", str(self.data), "--json"],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=DEADLINE)
        if said.returncode != 0:
            raise Failure(f"artel {' '.join(arguments)}: {said.stderr.decode()}")
        return json.loads(said.stdout)

    def invite(self):
        return self.run("invite")["invitation"]

    def peers(self):
        """Who is admitted, by peer id: where each listens, as identify told."""
        return {peer["peer_id"]: peer["listens"] for peer in self.get("/v1/peers")["items"] if peer["status"] == "admitted"}

    def round_trip(self, peer):
        """How long its own ping to a peer took, in milliseconds."""
        return next((item["round_trip_ms"] for item in self.get("/v1/peers")["items"] if item["peer_id"] == peer), None)

    def holds(self, peer):
        """How many records of a peer's journal are held."""
        origin = f"artel/{self.ready['federation_id']}/{peer}/0"
        return sum(held["records"] for held in self.get("/v1/journals?limit=50")["items"] if held["origin"] == origin)


class Peer(Child):
    """A peer on other people's libp2p."""

    def __init__(self, name, command, directory):
        super().__init__(name, command, directory / f"{name}.log")
        started = self.line()
        self.peer, self.listens = started["peer"], started["listens"]

    def ask(self, order, **how):
        self.process.stdin.write(json.dumps({"do": order, **how}).encode() + b"\n")
        self.process.stdin.flush()
        answer = self.line()
        if "error" in answer:
            raise Failure(f"{self.name}, asked to {order} {how}: {answer['error']}")
        return answer


def check_vectors(peer):
    """The golden frames of records, and those that a reader must refuse."""
    vectors = json.loads((ROOT / "protocol/vectors/record.json").read_text())
    padded = lambda frame: frame["head"] + "00" * frame["zeros"] + frame["tail"]
    good = [frame["frame"] for frame in vectors["frames"]] + [padded(frame) for frame in vectors["padded_frames"]]
    bad = [(frame["about"], frame["frame"]) for frame in vectors["refused"]]
    bad += [(frame["about"], padded(frame)) for frame in vectors["refused_padded"]]
    held = peer.ask("judge", federation=vectors["federation"], frames=good)["hold"]
    check(f"{peer.name} takes the {len(good)} golden frames of records", held, [True] * len(good))
    held = peer.ask("judge", federation=vectors["federation"], frames=[frame for _, frame in bad])["hold"]
    check(f"{peer.name} refuses the {len(bad)} that must be refused", [about for (about, _), h in zip(bad, held) if h], [])


def two_nodes(binary, directory):
    """Two members of one federation that cannot reach each other."""
    a = Node("a", binary, directory)
    b = Node("b", binary, directory, join=a.invite())
    until(lambda: b.peer in a.peers() and a.peer in b.peers(), "the two nodes admit each other")
    until((b.data / "admission").exists, "b has the records that prove its membership")
    b.stop()
    a.stop()
    return Node("a", binary, directory), Node("b", binary, directory)


def check_meeting(peer, node, node_name, chain, **how):
    """A peer dials a node: both are members to each other, each knows the other's name, and they ping."""
    met = peer.ask("dial", **how)
    check(f"{peer.name} dials {node_name}: the node lets it in, and it the node, with chains of {chain[0]} and {chain[1]}",
          (met["peer"], met["accepted"], met["accepts"], met["chain"], met["their_chain"]),
          (node.peer, True, True, *chain))
    said = peer.ask("identity", peer=node.peer)
    federation = node.ready["federation_id"]
    wanted = ["/artel/1/blob", "/artel/1/direct", "/artel/1/hello", "/artel/1/sync", f"/artel/1/{federation}/kad",
              "/ipfs/id/1.0.0", "/ipfs/id/push/1.0.0", "/ipfs/ping/1.0.0",
              "/meshsub/1.0.0", "/meshsub/1.1.0", "/meshsub/1.2.0", "/meshsub/1.3.0"]
    missing = [protocol for protocol in wanted if protocol not in said["protocols"]]
    check(f"{peer.name} identifies {node_name}: {said['agent_version']}, {said['protocol_version']}, every protocol of the document, its address",
          (said["agent_version"].split("/")[0], said["protocol_version"], missing, node.listens in said["listen_addrs"]),
          ("artel", "artel/1", [], True))
    listens = until(lambda: node.peers().get(peer.peer), f"{node_name} lists {peer.name} with where it listens")
    check(f"{node_name} identifies {peer.name} and knows where it listens", listens, peer.listens)
    rtt = peer.ask("ping", peer=node.peer)["ms"]
    check(f"{peer.name} pings {node_name}", 0 <= rtt < 1000 * DEADLINE, True)
    rtt = until(lambda: node.round_trip(peer.peer), f"{node_name} has an answer to its ping from {peer.name}")
    check(f"{node_name} pings {peer.name}", 0 < rtt < 1000 * DEADLINE, True)


def check_offer(peer, source, topic, a, task):
    """The offer of a task that A posted, as a peer reads it from the frame that came by gossip."""
    got = peer.ask("offer", step=task["task_id"])
    deadline = datetime.fromisoformat(task["deadline"].replace("Z", "+00:00"))
    check(f"{peer.name} verifies the offer ({got['bytes']} bytes, entry {got['index']} of {got['size']}): signature, proof, and what was posted",
          (got["author"], got["epoch"], got["skills"], got["complexity"], got["level"], got["reward"], got["deadline"], got["terms"]),
          (a.peer, 1, [[SKILL, 0]], 0, None, round(task["reward"] * 1_000_000), round(deadline.timestamp() * 1000),
           task["terms"]["digest"].removeprefix("sha256:")))
    check(f"{peer.name} has it by gossip from {source.name}, on the topic of its shard",
          (got["from"], got["topic"], got["shard_topic"]), (source.peer, topic, topic))
    check(f"{peer.name} refuses the frame with any one of its {got['bytes']} bytes changed", got["changed_bytes_unseen"], 0)
    return got["id"]


def check_apart(a, b, first, second):
    check("a and b know each other only through the peers", (sorted(a.peers()), sorted(b.peers())),
          ([first.peer], sorted([first.peer, second.peer])))


def check_lazy(a, b, first, source, topic, lazy):
    """Who is in nobody's mesh is told the ids of messages, asks for them and gets them."""
    who = source.name
    lazy.ask("dial", invitation=b.invite())
    if source is first:
        lazy.ask("leave", peer=b.peer)
        met = lazy.ask("dial", address=f"{first.listens[0]}/p2p/{first.peer}")
        check(f"{lazy.name} and {who}, two strangers, say hello to each other and are members",
              (met["accepted"], met["accepts"], met["chain"], met["their_chain"]), (True, True, 2, 1))
    else:
        who = "b"
    lazy.ask("aloof", topic=topic, peer=source.peer)
    task = a.run("task", "post", "--title", "for the lazy", "--capability", SKILL)
    got = lazy.ask("offer", step=task["task_id"])
    check(f"{lazy.name}, in nobody's mesh, has an offer from {who}", (got["from"], got["terms"]),
          (source.peer, task["terms"]["digest"].removeprefix("sha256:")))
    check(f"{who} had announced it to {lazy.name} by the id that PROTOCOL.md says",
          lazy.ask("announced", peer=source.peer, id=got["id"])["announced"], True)
    lazy.stop()


def check_unknown(publisher, hearer, b, topic):
    """A frame of a kind that nobody knows goes through the node unread. Several are tried: one that comes before the node
    has read who asks into its gossip mesh goes nowhere, and only what goes through shows that it has."""

    def heard():
        published = publisher.ask("publish", what="unknown", topic=topic)
        return hearer.ask("message", id=published["id"], within_ms=1000)

    got = until(heard, f"{hearer.name} hears on {topic} what {publisher.name} publishes")
    check(f"{publisher.name} publishes on {topic} a frame of a kind that nobody knows; b passes it on to {hearer.name}",
          (got["from"], got["kind"]), (b.peer, 0x7a7a))


def check_line(a, b, first, second, lazy):
    """A - first - B - second: what goes in at one end comes out at the other."""
    # Without the secret nobody is let in, and the node says why.
    turned_away = first.ask("dial", invitation=a.invite(), secret=False)
    check(f"{first.name} without the invitation's secret is turned away by a",
          (turned_away["accepted"], turned_away["code"]), (False, "invitation_needed"))
    first.ask("closed", peer=a.peer)

    check_meeting(first, a, "a", (1, 0), invitation=a.invite())
    check_meeting(second, b, "b", (2, 1), invitation=b.invite())
    check_meeting(first, b, "b", (1, 1), address=b.address)
    check_apart(a, b, first, second)

    topic = f"tasks/{hashlib.sha256(SKILL.encode()).digest()[0] % 16}"
    name = f"artel/1/{a.ready['federation_id']}/{topic}"
    for rest in (topic, "agents"):
        first.ask("meshed", topic=rest, peers=[a.peer, b.peer])
        second.ask("meshed", topic=rest, peers=[b.peer])
        check_unknown(first, second, b, rest)
        check_unknown(second, first, b, rest)

    for publisher, hearer, nodes in ((first, second, (a, b)), (second, first, (b,))):
        published = publisher.ask("publish", what="joined")
        heard = hearer.ask("message", id=published["id"])
        check(f"{publisher.name} publishes the first record of its own journal; b passes it on to {hearer.name}",
              (heard["from"], heard["kind"]), (b.peer, 0x0110))
        for node in nodes:
            held = until(lambda: node.holds(publisher.peer), f"{node.name} holds the record of {publisher.name}")
            check(f"{node.name} checked it and keeps it, as the journal of {publisher.name}", held, 1)

    # A second one, because py-libp2p as it comes passes on the first alone.
    for reward in ("1.5", "0"):
        task = a.run("task", "post", "--title", "for strangers", "--capability", SKILL, "--reward", reward)
        ids = (check_offer(first, a, name, a, task), check_offer(second, b, name, a, task))
        check(f"it is the same message to both: {first.name} passed it on, and b did", ids[0], ids[1])

    check_apart(a, b, first, second)

    # By ids alone: from the node, then from the first peer.
    for source in (b, first):
        check_lazy(a, b, first, source, topic, lazy())
    scores = {peer["peer_id"]: peer["score"] for node in (a, b) for peer in node.get("/v1/peers")["items"]}
    check("nobody has lost a point of score", {score for score in scores.values()}, {0.0})


def main():
    binary, *rest = sys.argv[1:]
    programs = []
    for word in rest:
        if word == "--":
            programs.append([])
        else:
            programs[-1].append(word)
    directory = pathlib.Path(tempfile.mkdtemp(prefix="artel-interop-"))
    running = []
    try:
        a, b = two_nodes(os.path.abspath(binary), directory)
        running += [a, b]
        for turn in range(len(programs)):
            line = [programs[turn], programs[(turn + 1) % len(programs)]]
            print(f"-- a - {line[0][0]} - b - {line[1][0]}")
            peers = []
            for place, (name, *command) in enumerate(line):
                peers.append(Peer(name if len(programs) > 1 else f"{name}-{place + 1}", command, directory))
                running.append(peers[-1])

            check_vectors(peers[0])

            def lazy():
                name, *command = programs[0]
                running.append(Peer(f"lazy {name}", [*command, "lazy"], directory))
                return running[-1]

            check_line(a, b, *peers, lazy)
            for peer in peers:
                running.remove(peer)
                peer.stop()
            until(lambda: not a.peers() and not b.peers(), "the peers are gone")
        for node in (a, b):
            running.remove(node)
            node.stop()
            check(f"{node.name} stops well", node.process.returncode, 0)
    except Failure as failure:
        print(f"FAILED  {failure}")
        print(f"(logs are in {directory})")
        return 1
    finally:
        for child in running:
            child.process.kill()
    shutil.rmtree(directory)
    print(f"{checks} checks held")
    return 0


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    sys.exit(main())
