"""Decodes entries.txt and nodes.txt by the tables of PROTOCOL.md, section "Entries", with nothing but Python's standard library.

It knows no code of ours: whatever it cannot read, or does not find in its canonical form, is a mistake in the text or in
the program. Run it from anywhere; it says what it read and ends with status 1 at the first difference.
"""

import hashlib
import pathlib
import sys

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
VERDICT, SUBMITTED, TRANSFER = 54, 52, 64


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
lease_ended = struct(("step", uuid), ("epoch", u32), ("agent", key))

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
    52: ("Submitted", "public", struct(("step", uuid), ("epoch", u32), ("agent", key), ("result", digest),
                                       ("authority", authority), ("late", boolean))),
    53: ("Output", "private", struct(("step", uuid), ("epoch", u32), ("salt", salt), ("output", blob),
                                     ("artifacts", many(digest)))),
    54: ("Verdict", "public", struct(("step", uuid), ("epoch", u32), ("agent", key), ("submitted", u64),
                                     ("judgement", judgement))),
    55: ("StepEnded", "public", struct(("step", uuid), ("end", plain(6)))),
    56: ("Findings", "private", struct(("step", uuid), ("epoch", u32), ("findings", text))),
    64: ("Transfer", None, struct(("cause", plain(3)), ("step", uuid),
                                  ("legs", many(struct(("account", account), ("units", i64)))))),
    80: ("ArtifactStored", "private", struct(("artifact", uuid), ("digest", digest), ("bytes", u64),
                                             ("bytes_new", u64), ("name", text), ("kind", text),
                                             ("content_type", text), ("by", poster), ("step", option(uuid)),
                                             ("run", option(uuid)), ("metadata", blob))),
    96: ("Emitted", "private", struct(("name", text), ("by", poster), ("data", blob), ("run", option(uuid)))),
    97: ("Refused", "private", struct(("who", poster), ("code", text), ("count", u32))),
    40: ("FraudProven", "public", struct(("node", key), ("lie", plain(3)), ("proof", digest))),
}

# Kinds with a second version; what the first one can say is written in the first one.
NEWER = {(32, 2): run_posted(task_2)}


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
    artifacts = opening["artifacts"]
    listed = len(artifacts).to_bytes(8, "little") + b"".join(artifacts)
    output = hashlib.sha256(opening["output"]).digest()
    return hashlib.sha256(b"artel/1/result\0" + opening["salt"] + output + listed).digest()


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
    entries = []
    for n, name, shown, what, body in (row for row in rows if len(row) == 5):
        kind, at, correlation, fields, raw = decode(bytes.fromhex(body))
        label, class_of, _ = KINDS[kind]
        if kind == TRANSFER:
            class_of = "public" if fields["cause"][0] == 1 else "private"
            assert sum(leg["units"] for leg in fields["legs"]) == 0, "legs sum to zero"
        assert (str(kind), label, class_of) == (n, name, shown), f"{what}: {kind} {label} {class_of}"
        entries.append((kind, fields, raw))
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


def main():
    entries, wanted = read("entries.txt")
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
    missing = set(KINDS) - {kind for kind, _, _ in entries + others}
    assert not missing, f"no golden entry of {missing}"
    count = len(found) + len(joined) + 1
    print(f"{len(entries) + len(others)} entries of {len(KINDS)} kinds decoded, {count} ids and digests agree")


if __name__ == "__main__":
    try:
        main()
    except AssertionError as difference:
        sys.exit(f"difference: {difference}")
