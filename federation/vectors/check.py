"""Decodes entries.txt, nodes.txt and abroad.txt by the tables of PROTOCOL.md, section "Entries", visits.txt by those of
section "Visits" and redo.txt by those of section "Redo", with nothing but Python's standard library and the Ed25519 of the protocol's own check.py.

It knows no code of ours: whatever it cannot read, or does not find in its canonical form, is a mistake in the text or in
the program. Run it from anywhere; it says what it read and ends with status 1 at the first difference.
"""

import base64
import datetime
import hashlib
import importlib.util
import json
import pathlib
import sys

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
VERDICT, SUBMITTED, TRANSFER, OUTGOING, HANDED_IN = 54, 52, 64, 113, 114


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        assert self.at + count <= len(self.data), "the bytes end early"
        self.at += count
        return self.data[self.at - count : self.at]

    def done(self):
        assert self.at == len(self.data), f"{len(self.data) - self.at} bytes left over"


def number(size, signed=False):
    return lambda r: int.from_bytes(r.take(size), "little", signed=signed)


u8, u16, u32, u64, i32, i64 = number(1), number(2), number(4), number(8), number(4, True), number(8, True)


def boolean(r):
    value = u8(r)
    assert value in (0, 1), "a bool is 0 or 1"
    return bool(value)


def blob(r):
    return r.take(u64(r))


def text(r):
    return blob(r).decode("utf-8")


def fixed(size):
    return lambda r: r.take(size)


def tagged(size):
    def read(r):
        assert u8(r) == 1, "only Ed25519 is known"
        return r.take(size)

    return read


digest, uuid, salt, key, signature = fixed(32), fixed(16), fixed(16), tagged(32), tagged(64)


def option(inner):
    return lambda r: inner(r) if boolean(r) else None


def many(inner):
    return lambda r: [inner(r) for _ in range(u64(r))]


def struct(*fields):
    return lambda r: {name: read(r) for name, read in fields}


def enum(*variants):
    """Each variant is its fields' reader, or None where it has none."""

    def read(r):
        n = u32(r)
        assert n < len(variants), f"there is no variant {n}"
        return (n, variants[n](r) if variants[n] else None)

    return read


skill = struct(("name", text), ("version", u32))


def skills(r):
    found = many(skill)(r)
    order = [(s["name"].encode(), s["version"]) for s in found]
    assert order == sorted(set(order)), "skills are sorted, each once"
    return found


plain = lambda count: enum(*[None] * count)
poster = enum(None, key)
level, complexity, authority, revoker = plain(4), plain(4), plain(3), plain(2)
account = enum(None, key, uuid, uuid)
task = struct(
    ("title", text), ("description", text), ("skills", skills), ("level_min", option(level)),
    ("complexity", complexity), ("reward", u64), ("deadline", u64), ("input", blob),
    ("output_schema", option(blob)), ("poster_may_claim", boolean),
)
runner = enum(struct(("module", digest)))
task_2 = lambda r: {**task(r), "runner": option(runner)(r)}
step_spec = lambda task: struct(("name", text), ("needs", blob), ("task", task))
run_posted = lambda task: struct(
    ("run", uuid), ("poster", poster), ("name", text), ("inputs", blob), ("priority", i32),
    ("steps", many(step_spec(task))), ("post_key", option(struct(("key", digest), ("body", digest)))),
    ("attempts_max", u8), ("lapses_max", u8), ("salt", salt),
)
judgement = enum(struct(("quality", u8), ("checked", boolean)), struct(("check", text)))
genesis_record = (("name", text), ("founders", many(key)), ("admission", plain(2)), ("recovery", digest),
                  ("created", u64))
redone = struct(("step", uuid), ("epoch", u32), ("agent", key), ("by", option(key)),
                ("came", enum(None, digest, None)), ("profile", option(digest)))
cosigned = struct(("size", u64), ("root", digest), ("at_s", u64), ("signature", signature))
lease_ended = struct(("step", uuid), ("epoch", u32), ("agent", key))
submitted = (("step", uuid), ("epoch", u32), ("agent", key), ("result", digest), ("authority", authority), ("late", boolean))
handed_at = struct(("node", key), ("incarnation", u32), ("index", u64))
abroad = ("lease", struct(("home", key), ("step", uuid), ("epoch", u32)))

KINDS = {
    1: ("Genesis", "public", struct(*genesis_record)),
    2: ("Started", "public", struct(("boot", u64), ("version", text), ("configuration", digest))),
    3: ("Joined", "public", struct(("genesis", struct(*genesis_record)), ("recovery", digest))),
    4: ("Admitted", "public", struct(("node", key), ("by", enum(None, digest, None)))),
    5: ("Expelled", "public", struct(("node", key), ("reason", text))),
    6: ("Invited", "private", struct(("invitation", digest), ("until", u64), ("uses", u32))),
    7: ("InvitationEnded", "private", struct(("invitation", digest))),
    16: ("Enrolled", "private", struct(("agent", key), ("name", text), ("skills", skills), ("metadata", blob),
                                       ("capacity", u32), ("delegation", option(u64)), ("serial", u32),
                                       ("expires", u64), ("challenge", text), ("signature", signature))),
    17: ("Configured", "private", struct(("agent", key), ("name", text), ("skills", skills),
                                         ("metadata", blob), ("capacity", u32))),
    18: ("Rotated", "private", struct(("agent", key), ("serial", u32), ("expires", u64), ("signature", signature))),
    19: ("Revoked", "private", struct(("agent", key), ("by", revoker), ("serial", u32),
                                      ("signature", option(signature)))),
    20: ("Introduced", "private", struct(("agent", key), ("node", key), ("name", text), ("skills", skills),
                                         ("delegation", option(u64)), ("warrant", option(digest)), ("will", text),
                                         ("signature", signature))),
    21: ("Forgotten", "private", struct(("agent", key))),
    22: ("DelegationEnded", "public", struct(("agent", key), ("before", u64))),
    32: ("RunPosted", "private", run_posted(task)),
    33: ("CancelAsked", "private", struct(("run", uuid), ("step", option(uuid)), ("by", poster))),
    34: ("RunEnded", "private", struct(("run", uuid), ("status", plain(5)))),
    48: ("Offered", "public", struct(("step", uuid), ("epoch", u32), ("skills", skills),
                                     ("complexity", complexity), ("level_min", option(level)), ("reward", u64),
                                     ("deadline", u64), ("terms", digest), ("window_ms", u32), ("top", u8),
                                     ("verdict_within_ms", u32))),
    49: ("Granted", "public", struct(("step", uuid), ("epoch", u32), ("agent", key), ("level", level),
                                     ("bound", u32), ("lease_ms", u32), ("authority", authority))),
    50: ("Released", "public", lease_ended),
    51: ("Lapsed", "public", lease_ended),
    52: ("Submitted", "public", struct(*submitted)),
    53: ("Output", "private", struct(("step", uuid), ("epoch", u32), ("salt", salt), ("output", blob),
                                     ("artifacts", many(digest)))),
    54: ("Verdict", "public", struct(("step", uuid), ("epoch", u32), ("agent", key), ("submitted", u64),
                                     ("judgement", judgement))),
    55: ("StepEnded", "public", struct(("step", uuid), ("end", plain(6)))),
    56: ("Findings", "private", struct(("step", uuid), ("epoch", u32), ("findings", text))),
    57: ("Redone", "public", redone),
    58: ("Drawn", "public", struct(("step", uuid), ("epoch", u32), ("agent", key), ("rate", u32), ("lot", digest))),
    59: ("Unsettled", "public", redone),
    60: ("Lot", "public", struct(("step", uuid), ("epoch", u32), ("agent", key), ("submitted", u64), ("rate", u32),
                                 ("witnesses", many(struct(("node", key), ("cosigned", option(cosigned))))),
                                 ("lot", digest), ("drawn", boolean))),
    61: ("Refuted", "public", struct(("step", uuid), ("epoch", u32), ("agent", key), ("submitted", u64),
                                     ("verdict", u64), ("judged", u64), ("late", boolean), ("quality", option(u8)),
                                     ("other", digest), ("profile", digest), ("recalled", u64))),
    62: ("Unused", "private", lease_ended),
    63: ("Withdrawn", "private", lease_ended),
    64: ("Transfer", None, struct(("cause", plain(3)), ("step", uuid),
                                  ("legs", many(struct(("account", account), ("units", i64)))))),
    65: ("Recalled", "private", struct(("step", uuid), ("epoch", u32),
                                       ("legs", many(struct(("account", account), ("units", i64)))))),
    80: ("ArtifactStored", "private", struct(("artifact", uuid), ("digest", digest), ("bytes", u64),
                                             ("bytes_new", u64), ("name", text), ("kind", text),
                                             ("content_type", text), ("by", poster), ("step", option(uuid)),
                                             ("run", option(uuid)), ("metadata", blob))),
    96: ("Emitted", "private", struct(("name", text), ("by", poster), ("data", blob), ("run", option(uuid)))),
    97: ("Refused", "private", struct(("who", poster), ("code", text), ("count", u32))),
    112: ("Undertaken", "private", struct(abroad, ("agent", key), ("authority", authority), ("granted", u64),
                                          ("lease_ms", u32), ("verdict_within_ms", u32))),
    113: ("Outgoing", "private", struct(abroad, ("salt", salt), ("output", blob), ("artifacts", many(digest)),
                                        ("own", option(struct(("at", u64), ("signature", signature)))))),
    114: ("HandedIn", "public", struct(abroad, ("agent", key), ("result", digest), ("authority", authority))),
    115: ("Acknowledged", "private", struct(abroad, ("submitted", u64), ("at", u64), ("signature", signature))),
    116: ("Concluded", "private", struct(abroad, ("verdict", u64), ("judgement", judgement))),
    117: ("LetGo", "private", struct(abroad, ("code", text))),
    118: ("Unanswered", "public", struct(abroad, ("agent", key), ("handed_in", u64), ("submitted", option(u64)))),
    119: ("Redoing", "private", struct(abroad, ("module", digest))),
    120: ("RefutedAway", "private", struct(abroad, ("agent", key), ("refuted", u64), ("recalled", u64))),
    40: ("FraudProven", "public", struct(("node", key), ("lie", plain(3)), ("proof", digest))),
}

# Kinds with a second version; what the first one can say is written in the first one.
NEWER = {(32, 2): run_posted(task_2), (52, 2): struct(*submitted, ("handed_at", option(handed_at))),
         (116, 2): struct(abroad, ("verdict", u64), ("judgement", judgement), ("agent", option(key)),
                          ("paid", option(u64))),
         (117, 2): struct(abroad, ("code", text), ("agent", option(key)))}


def decode(body):
    """Number, moment, correlation, the fields, and where the fields begin and lie in the payload."""
    head = Reader(body)
    kind, version, length = u16(head), u16(head), u32(head)
    assert version == 1 or (kind, version) in NEWER, f"version {version}"
    payload = Reader(head.take(length))
    head.done()
    at, correlation = u64(payload), option(text)(payload)
    start = payload.at
    fields = NEWER.get((kind, version), KINDS[kind][2])(payload)
    payload.done()
    if kind == 32:
        newer = any(step["task"].get("runner") is not None for step in fields["steps"])
        assert version == 1 + newer, "the least version that can say it"
    assert kind != SUBMITTED or version == 1 + bool(fields.get("handed_at")), "the least version that can say it"
    return kind, at, correlation, fields, payload.data[start:]


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def did(public):
    data, digits = int.from_bytes(b"\xed\x01" + public, "big"), ""
    while data:
        data, digit = divmod(data, 58)
        digits = ALPHABET[digit] + digits
    return "did:key:z" + digits


def uuid_text(raw):
    h = raw.hex()
    return "-".join((h[:8], h[8:12], h[12:16], h[16:20], h[20:]))


def result(opening):
    """The commitment of a submission, from its private half."""
    return commitment(opening["salt"], hashlib.sha256(opening["output"]).digest(), opening["artifacts"])


def commitment(salt, output, artifacts):
    listed = len(artifacts).to_bytes(8, "little") + b"".join(artifacts)
    return hashlib.sha256(b"artel/1/result\0" + salt + output + listed).digest()


def terms(run_salt, step, task_bytes):
    """The commitment to one step's task, from its run's salt."""
    step_salt = hashlib.sha256(b"artel/1/terms-salt\0" + run_salt + step).digest()[:16]
    return hashlib.sha256(b"artel/1/terms\0" + step_salt + step + task_bytes).digest()


def encoded_task(fields_bytes, read):
    """The bytes of the first step's task, cut out of RunPosted by reading up to it."""
    r = Reader(fields_bytes)
    uuid(r), poster(r), text(r), blob(r), i32(r), u64(r), text(r), blob(r)
    start = r.at
    read(r)
    return r.data[start : r.at]


def read(name):
    """The entries of a file, and what it says of them."""
    rows = [
        line.split("\t")
        for line in (pathlib.Path(__file__).parent / name).read_text().splitlines()
        if line and not line.startswith("#")
    ]
    wanted = {row[0]: row[1] for row in rows if len(row) == 2}
    entries, bodies = [], b""
    for n, name, shown, what, body in (row for row in rows if len(row) == 5):
        bodies += bytes.fromhex(body)
        kind, at, correlation, fields, raw = decode(bytes.fromhex(body))
        label, class_of, _ = KINDS[kind]
        if kind == TRANSFER:
            class_of = "public" if fields["cause"][0] == 1 else "private"
            assert sum(leg["units"] for leg in fields["legs"]) == 0, "legs sum to zero"
        assert (str(kind), label, class_of) == (n, name, shown), f"{what}: {kind} {label} {class_of}"
        entries.append((kind, fields, raw))
    assert wanted["bodies"] == "sha256:" + sha256(bodies), "the bodies' digest"
    assert entries[0][0] in (1, 3), "a journal begins with Genesis or Joined"
    assert not [kind for kind, _, _ in entries[1:] if kind in (1, 3)], "and nowhere else stands one"
    check_nodes(entries)
    return entries, wanted


def check_nodes(entries):
    """Who is let in, by the rules of "Membership"."""
    first, begun, _ = entries[0]
    genesis = begun if first == 1 else begun["genesis"]
    inside, outside, invitations = set(), set(), {}
    for kind, fields, _ in entries:
        if kind == 4:
            node, (by, invitation) = fields["node"], fields["by"]
            assert node not in genesis["founders"] and node not in inside, "a member is not admitted"
            assert by == 2 or node not in outside, "an expelled node comes back by the operator"
            assert by != 0 or (first == 1 and genesis["admission"][0] == 0), "only an open founder's door is open"
            if by == 1:
                invitations[invitation] -= 1
                assert invitations[invitation] >= 0, "an invitation is spent"
            inside.add(node)
            outside.discard(node)
        if kind == 5:
            assert fields["node"] not in outside, "nobody is expelled twice"
            assert fields["node"] not in genesis["founders"], "nobody expels a founder"
            outside.add(fields["node"])
            inside.discard(fields["node"])
        if kind == 6:
            assert fields["invitation"] not in invitations, "an invitation is made once"
            invitations[fields["invitation"]] = fields["uses"]
        if kind == 7:
            del invitations[fields["invitation"]]


def check_away(entries):
    """What an agent has under way at other homes, by the rules of "Life of a lease of another home". Gives who has what at the end."""
    open_, judged, agents, introduced = {}, {}, set(), set()
    for index, (kind, fields, _) in enumerate(entries):
        before, private, _ = entries[index - 1]
        if kind == 16:
            agents.add(fields["agent"])
        if kind == 20:
            assert fields["agent"] not in agents, "whoever is enrolled here is not introduced"
            assert (fields["delegation"] is None) == (fields["warrant"] is None), "a warrant stands for a delegation"
            first = fields["will"].split("\n")[0]
            assert first == ("artel statement" if fields["warrant"] is None else "artel enrollment"), "what was signed"
            introduced.add(fields["agent"])
        if kind == SUBMITTED and fields.get("handed_at"):
            assert fields["agent"] in introduced, "another node speaks for an agent that was introduced"
        if kind < 112 or kind == 119:
            continue
        lease = (fields["lease"]["home"], fields["lease"]["step"], fields["lease"]["epoch"])
        if kind == 112:
            assert fields["agent"] in agents and lease not in open_, "a lease is won once, by an agent of this node"
            open_[lease] = [fields["agent"], None]
            continue
        if kind == 120:
            assert judged.pop(lease, None) == fields["agent"], "a result that was judged is refuted, once"
            continue
        agent, handed = open_[lease]
        assert fields.get("agent") in (None, agent), "the agent that won it"
        if kind == HANDED_IN:
            assert before == OUTGOING and private["lease"] == fields["lease"], "a result's private half is before it"
            assert fields["result"] == result(private), "the private half opens the public one"
            assert (fields["authority"][0] == 2) == (private["own"] is not None), "its own authority is its signature"
            assert handed is None, "a lease has one result"
            open_[lease][1] = index
        if kind in (115, 116, 118):
            assert handed is not None, "home says something of what was handed in"
            assert kind != 118 or fields["handed_in"] == handed, "what home has not judged is named"
        if kind in (116, 117):
            del open_[lease]
        if kind == 116:
            judged[lease] = agent
    return open_


# What travels between a home and a worker's node.
of_step = struct(("step", uuid), ("epoch", u32))
runner_option = option(runner)
lease_told = struct(
    ("step", uuid), ("run", uuid), ("epoch", u32), ("expires", u64), ("lease_ms", u32), ("granted", u64), ("title", text),
    ("description", text), ("name", text), ("input", blob), ("inputs", blob),
    ("needs", many(struct(("name", text), ("output", blob)))),
    ("artifacts", many(struct(("name", text), ("digests", many(digest))))), ("output_schema", option(blob)),
    ("runner", runner_option), ("reward", u64), ("deadline", u64), ("verdict_within_ms", u32), ("skills", skills),
)
outcome = enum(struct(("quality", u8), ("checked", boolean)), struct(("check", text), ("findings", text)))
receipt = struct(
    ("step", uuid), ("epoch", u32), ("agent", key), ("result", digest), ("salt", salt), ("output", digest),
    ("artifacts", many(digest)), ("authority", authority), ("submitted", u64), ("submitted_at", u64),
    ("verdict", option(struct(("index", u64), ("outcome", outcome), ("paid", u64)))), ("next", option(lease_told)),
)


def refusal(r):
    code, message = text(r), text(r)
    assert 0 < len(code) <= 64 and set(code) <= set("abcdefghijklmnopqrstuvwxyz0123456789_"), "a code"
    assert 0 < len(message.encode()) <= 1024 and is_plain(message.replace("\n", " ")), "a sentence"
    return code, message


def is_plain(line):
    return bool(line.strip()) and not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in line)


def handing(r):
    read = struct(("step", uuid), ("epoch", u32), ("output", blob), ("salt", salt), ("artifacts", many(digest)),
                  ("incarnation", u32), ("index", u64), ("next", option(u32)))(r)
    assert 0 < len(read["output"]) <= 262_144 and len(read["artifacts"]) <= 64, "a result's bounds"
    return read


def visit(r):
    read = struct(
        ("agent", key), ("name", text), ("skills", skills),
        ("warrant", enum(struct(("challenge", text), ("until", u64), ("signature", signature)),
                         struct(("at", u64), ("signature", signature)))),
        ("act", enum(uuid, u32, of_step, of_step, handing)),
    )(r)
    assert len(read["skills"]) <= 32 and len(read["name"].encode()) <= 255 and is_plain(read["name"]), "an agent's bounds"
    assert len(read["warrant"][1].get("challenge", "").encode()) <= 1_536, "a challenge's bounds"
    return read


FRAMES = {
    "Visit": (0x0130, visit),
    "Told": (0x0131, enum(lease_told, None, u64, None, struct(("receipt", receipt), ("signature", signature)), refusal,
                          of_step)),
    "Fetch": (0x0132, struct(("step", uuid), ("epoch", u32), ("what", enum(None, struct(("digest", digest),
                                                                                        ("start", u64)))))),
    "Served": (0x0133, enum(u64, refusal)),
    "Enough": (0x0134, key),
}


# What travels between a home and a node that runs a step of its again.
def redo(r):
    read = struct(("step", uuid), ("epoch", u32), ("module", digest), ("skills", skills), ("input", blob),
                  ("needs", many(struct(("name", text), ("output", blob)))), ("artifacts", many(digest)))(r)
    assert len(read["skills"]) <= 32 and len(read["needs"]) <= 200, "a step's bounds"
    assert all(len(need["name"].encode()) <= 255 and is_plain(need["name"]) for need in read["needs"]), "names of needs"
    in_order(read["artifacts"])
    [json.loads(said) for said in (read["input"], *(need["output"] for need in read["needs"]))]
    return read


def done(r):
    read = struct(("output", blob), ("artifacts", many(digest)), ("log", option(digest)))(r)
    assert 0 < len(read["output"]) <= 262_144, "an output's bounds"
    in_order(read["artifacts"])
    json.loads(read["output"])
    return read


def fault(r):
    said = text(r)
    assert len(said.encode()) <= 256 and is_plain(said), "a fault's bounds"
    return said


def in_order(digests):
    assert len(digests) <= 64 and digests == sorted(set(digests)), "digests are sorted, each once"


REDO_FRAMES = {
    "Redo": (0x0150, redo),
    "Reran": (0x0151, struct(("profile", digest), ("end", enum(done, fault, None, None, plain(4))))),
}


def check_redos():
    lines = (pathlib.Path(__file__).parent / "redo.txt").read_text().splitlines()
    rows = [line.split("\t") for line in lines if line and not line.startswith("#")]
    ends = set()
    for name, what, shown, named_by in rows:
        data = bytes.fromhex(shown)
        assert "sha256:" + sha256(data) == named_by, f"{name} {what}: the frame's digest"
        head = Reader(data)
        assert (u16(head), u16(head)) == (REDO_FRAMES[name][0], 1), f"{name}: kind and version"
        payload = Reader(head.take(u32(head)))
        head.done()
        read = REDO_FRAMES[name][1](payload)
        payload.done()
        if name == "Reran":
            ends.add(read["end"][0])
    assert {row[0] for row in rows} == set(REDO_FRAMES) and ends == set(range(5)), "every kind of frame and end"
    return len(rows)


def check_lots(entries, name):
    """Whether each lot is what its witnesses drew, by the rules of "Redo": everything but the roots, which a journal has."""
    verifies, text_of = ed25519()
    lines = (pathlib.Path(__file__).parent / name).read_text().splitlines()
    bodies = [bytes.fromhex(row[4]) for row in (line.split("\t") for line in lines) if len(row) == 5]
    hashed = lambda *parts: hashlib.sha256(b"".join(parts)).digest()
    founder = next(fields for kind, fields, _ in entries if kind == 1)["founders"][0]
    federation = hashlib.sha256(b"artel/1/genesis\x00" + next(raw for kind, _, raw in entries if kind == 1)).digest()
    found = 0
    for kind, fields, _ in entries:
        if kind != 60:
            continue
        found += 1
        submission = hashlib.sha256(bodies[fields["submitted"]]).digest()
        assert entries[fields["submitted"]][0] == SUBMITTED, "a lot names its submission"
        named = fields["witnesses"]
        places = [hashed(submission, b"\1", one["node"]) for one in named]
        assert len(places) <= 3 and places == sorted(set(places)), "three witnesses, in the submission's order"
        signed = [one for one in named if one["cosigned"]]
        for one in signed:
            said = one["cosigned"]
            assert said["size"] > fields["submitted"], "behind the submission"
            origin = text_of(federation, founder, 0)
            body = f"{origin}\n{said['size']}\n{base64.b64encode(said['root']).decode()}\n"
            message = f"cosignature/v1\ntime {said['at_s']}\n{body}".encode()
            assert verifies(one["node"], message, said["signature"]), "a witness's cosignature"
        drew = b"".join(b"\1" + one["node"] + b"\1" + one["cosigned"]["signature"] for one in signed)
        lot = hashed(b"artel/1/lot\0", submission, len(signed).to_bytes(8, "little"), drew)
        assert not signed or lot == fields["lot"], "the lot follows from the cosignatures"
        assert fields["drawn"] == (int.from_bytes(fields["lot"][:8], "little") % 1000 < fields["rate"]), "what is drawn"
    return found


def moment(ms):
    at = datetime.datetime(1970, 1, 1) + datetime.timedelta(milliseconds=ms)
    return at.isoformat(timespec="milliseconds") + "Z"


def named(digests):
    return ",".join("sha256:" + d.hex() for d in digests)


def statement(said, federation, home):
    """What an agent signs to act at a home itself, from the visit."""
    n, act = said["act"]
    lines = ["artel statement", "act: " + ("claim", "claim next", "renew", "release", "submit")[n],
             f"federation: {federation}", f"node: {home}", f"agent: {did(said['agent'])}"]
    if n != 1:
        lines.append("task: " + uuid_text(act if n == 0 else act["step"]))
    if n >= 2:
        lines.append(f"epoch: {act['epoch']}")
    if n <= 1:
        written = [s["name"] + (f"@{s['version']}" if s["version"] else "") for s in said["skills"]]
        lines.append("capabilities: " + ",".join(written))
    if n == 4:
        lines += ["output: sha256:" + sha256(act["output"]), "artifacts: " + named(act["artifacts"])]
    return "\n".join(lines + ["at: " + moment(said["warrant"][1]["at"]), ""])


def check_challenge(text, until, agent, federation, node):
    """Whether a challenge delegates to a node of a federation, as "Visits" says."""
    head = ["artel enrollment", "purpose: enroll this key as an agent", f"federation: {federation}", f"node: {node}",
            f"agent: {did(agent)}"]
    last = f"delegates: this node may claim, renew and submit in the agent's name until {moment(until)}"
    lines = text.split("\n")
    assert (len(lines), lines[:5], lines[8:]) == (10, head, [last, ""]), "the challenge delegates to this node until then"


def ed25519():
    """The check of signatures, from the protocol's reader."""
    path = pathlib.Path(__file__).parent / "../../protocol/vectors/check.py"
    spec = importlib.util.spec_from_file_location("protocol_check", path)
    module = importlib.util.module_from_spec(spec)
    sys.dont_write_bytecode = True
    spec.loader.exec_module(module)
    return module.verifies, module.origin_text


def check_visits():
    verifies, _ = ed25519()
    lines = (pathlib.Path(__file__).parent / "visits.txt").read_text().splitlines()
    rows = [line.split("\t") for line in lines if line and not line.startswith("#")]
    said = {row[0]: row[1:] for row in rows if len(row) < 4}
    (federation,), (home,), (node,), (agent,) = (said[name] for name in ("federation", "home", "node", "agent"))
    for name, value in said.items():
        if len(value) == 2:
            assert "sha256:" + sha256(value[0].replace("\\n", "\n").encode()) == value[1], f"{name}: its digest"
    frames, used = [row for row in rows if len(row) == 4], set()
    for name, what, shown, named_by in frames:
        data = bytes.fromhex(shown)
        assert "sha256:" + sha256(data) == named_by, f"{name} {what}: the frame's digest"
        head = Reader(data)
        assert (u16(head), u16(head)) == (FRAMES[name][0], 1), f"{name}: kind and version"
        payload = Reader(head.take(u32(head)))
        head.done()
        read = FRAMES[name][1](payload)
        payload.done()
        if name == "Told" and read[0] == 4:
            opened = commitment(*(read[1]["receipt"][part] for part in ("salt", "output", "artifacts")))
            assert read[1]["receipt"]["result"] == opened, f"{what}: the receipt opens its result"
        if name != "Visit":
            continue
        assert did(read["agent"]) == agent, f"{what}: the agent"
        n, warrant = read["warrant"]
        if n == 0:
            signed, label = warrant["challenge"], "challenge"
            check_challenge(signed, warrant["until"], read["agent"], federation, node)
        else:
            signed, label = statement(read, federation, home), "statement, " + what.removesuffix(", signed")
        assert said[label][0].replace("\\n", "\n") == signed, f"{what}: the text that was signed"
        assert verifies(read["agent"], signed.encode(), warrant["signature"]), f"{what}: the agent's signature"
        used.add(label)
    assert used == {name for name, value in said.items() if len(value) == 2}, "every text belongs to a visit"
    assert {row[0] for row in frames} == set(FRAMES), "every kind of frame"
    return len(frames), len(used)


def check_steps(entries):
    """What stands before what in the life of a step."""
    lease = lambda fields: (fields["step"], fields["epoch"])
    for index, (kind, fields, _) in enumerate(entries):
        before, private, _ = entries[index - 1]
        if kind == SUBMITTED:
            assert before == 53 and lease(private) == lease(fields), "a submission's private half is before it"
            assert fields["result"] == result(private), "the private half opens the public one"
        if kind == VERDICT:
            assert entries[fields["submitted"]][0] == SUBMITTED, "a verdict names its submission"
            rejected = fields["judgement"][0] == 1
            stands = before == 56 and lease(private) == lease(fields)
            assert stands == rejected, "a rejection's findings are right before it"
        if kind == TRANSFER and fields["cause"][0] == 1:
            accounts = [leg["account"] for leg in fields["legs"]]
            step = fields["step"]
            assert (accounts[0], accounts[1][0], accounts[2:]) == ((2, step), 1, [(3, step)]), "a payment's legs"


def main():
    entries, wanted = read("entries.txt")
    check_steps(entries)
    genesis = next(raw for kind, _, raw in entries if kind == 1)
    (posted, raw_posted), (ran, raw_ran) = ((fields, raw) for kind, fields, raw in entries if kind == 32)
    offers = [fields for kind, fields, _ in entries if kind == 48]
    offered = offers[0]
    granted = next(fields for kind, fields, _ in entries if kind == 49)
    founder = next(fields for kind, fields, _ in entries if kind == 1)["founders"][0]
    found = {
        "federation": sha256(b"artel/1/genesis\x00" + genesis),
        "step": uuid_text(offered["step"]),
        "agent": did(granted["agent"]),
        "node": did(founder),
        "terms": "sha256:" + terms(posted["salt"], offered["step"], encoded_task(raw_posted, task)).hex(),
        "terms with a runner": "sha256:" + terms(ran["salt"], offers[-1]["step"], encoded_task(raw_ran, task_2)).hex(),
    }
    for offer in offers:
        named = "terms with a runner" if offer is offers[-1] else "terms"
        assert "sha256:" + offer["terms"].hex() == found[named], "an offer names its terms"
    for name, value in found.items():
        assert wanted[name] == value, f"{name}: {value}, the file says {wanted[name]}"
    others, said = read("nodes.txt")
    by_invitation = next(fields for kind, fields, _ in others if kind == 4)
    joined = {
        # The record, then the digest of the node's own recovery key.
        "federation": sha256(b"artel/1/genesis\x00" + others[0][2][:-32]),
        "admitted": did(by_invitation["node"]),
    }
    for name, value in joined.items():
        assert said[name] == value, f"{name}: {value}, the file says {said[name]}"
    secret = bytes.fromhex(said["secret"])
    assert by_invitation["by"] == (1, hashlib.sha256(secret).digest()), "the secret's digest names the invitation"
    away, of_home = read("abroad.txt")
    check_steps(away)
    left = check_away(away)
    assert check_lots(away, "abroad.txt") == 1, "one lot fell"
    assert len(left) == 1 and all(handed is not None for _, handed in left.values()), "one result is still out"
    leases = [fields["lease"]["home"] for kind, fields, _ in away if kind >= 112]
    assert {did(home) for home in leases} == {of_home["home"]}, "the home"
    all_entries = entries + others + away
    missing = set(KINDS) - {kind for kind, _, _ in all_entries}
    assert not missing, f"no golden entry of {missing}"
    count = len(found) + len(joined) + 2
    frames, texts = check_visits()
    redos = check_redos()
    print(f"{len(all_entries)} entries of {len(KINDS)} kinds decoded, {count} ids and digests agree; "
          f"{frames} frames of visits and {redos} of redos read, {texts} signed texts agree")


if __name__ == "__main__":
    try:
        main()
    except AssertionError as difference:
        sys.exit(f"difference: {difference}")
