#!/usr/bin/env python3
"""Reads the golden vectors with nothing but PROTOCOL.md and the standard library, so that a mistake which our reader and
our writer share would show.

usage: check.py            ends 0 when everything agrees, 1 with the first thing that does not
"""
import base64, hashlib, json, pathlib, sys

HERE = pathlib.Path(__file__).parent
ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
checks = 0


def same(got, want, what):
    global checks
    checks += 1
    if got != want:
        sys.exit(f"{what}: got {got!r}, want {want!r}")


def load(name):
    return json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def b64(data):
    return base64.b64encode(data).decode()


def unb64(text):
    return base64.b64decode(text, validate=True)


def base58(data):
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = ALPHABET[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


def unbase58(text):
    number = 0
    for c in text:
        number = number * 58 + ALPHABET.index(c)
    body = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return b"\0" * (len(text) - len(text.lstrip("1"))) + body


# Ed25519, as RFC 8032 (section 5.1) writes it down, with the strict checks of PROTOCOL.md. Points are X, Y, Z, T.
PRIME = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
CURVE = -121665 * pow(121666, -1, PRIME) % PRIME


def read_point(data):
    y = int.from_bytes(data, "little")
    y, sign = y & 2**255 - 1, y >> 255
    square = (y * y - 1) * pow(CURVE * y * y + 1, -1, PRIME) % PRIME
    x = pow(square, (PRIME + 3) // 8, PRIME)
    if x * x % PRIME != square:
        x = x * pow(2, (PRIME - 1) // 4, PRIME) % PRIME
    if y >= PRIME or x * x % PRIME != square or not x and sign:
        return None
    x = x if x & 1 == sign else PRIME - x
    return x, y, 1, x * y % PRIME


def add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]), (p[1] + p[0]) * (q[1] + q[0])
    c, d = 2 * p[3] * q[3] * CURVE, 2 * p[2] * q[2]
    e, f, g, h = (b - a) % PRIME, (d - c) % PRIME, (d + c) % PRIME, (b + a) % PRIME
    return e * f % PRIME, g * h % PRIME, f * g % PRIME, e * h % PRIME


def times(n, p):
    sum_ = (0, 1, 1, 0)
    while n:
        if n & 1:
            sum_ = add(sum_, p)
        n, p = n >> 1, add(p, p)
    return sum_


def equal(p, q):
    return all((p[i] * q[2] - q[i] * p[2]) % PRIME == 0 for i in (0, 1))


BASE = read_point((4 * pow(5, -1, PRIME) % PRIME).to_bytes(32, "little"))


def verifies(key, message, signature):
    a, r, s = read_point(key), read_point(signature[:32]), int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= ORDER or any(equal(times(8, p), (0, 1, 1, 0)) for p in (a, r)):
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % ORDER
    return equal(times(s, BASE), add(r, times(k, a)))


# The tree, as RFC 6962 writes it down.
def leaf_hash(leaf):
    return sha(b"\0", leaf)


def split(n):
    return 1 << ((n - 1).bit_length() - 1)


def mth(hashes):
    if not hashes:
        return sha(b"")
    if len(hashes) == 1:
        return hashes[0]
    k = split(len(hashes))
    return sha(b"\1", mth(hashes[:k]), mth(hashes[k:]))


def path(m, d):
    if len(d) == 1:
        return []
    k = split(len(d))
    return path(m, d[:k]) + [mth(d[k:])] if m < k else path(m - k, d[k:]) + [mth(d[:k])]


def subproof(m, d, whole):
    if m == len(d):
        return [] if whole else [mth(d)]
    k = split(len(d))
    if m <= k:
        return subproof(m, d[:k], whole) + [mth(d[k:])]
    return subproof(m - k, d[k:], False) + [mth(d[:k])]


def range_proof(start, end, d, at=0):
    if start <= at and at + len(d) <= end:
        return []
    if at + len(d) <= start or end <= at:
        return [mth(d)]
    k = split(len(d))
    return range_proof(start, end, d[:k], at) + range_proof(start, end, d[k:], at + k)


def subset_proof(positions, d, at=0):
    held = sum(at <= p < at + len(d) for p in positions)
    if held == len(d):
        return []
    if held == 0:
        return [mth(d)]
    k = split(len(d))
    return subset_proof(positions, d[:k], at) + subset_proof(positions, d[k:], at + k)


def check_subset(placed, size, proof, root, wanted=None):
    """Walks a subset proof as PROTOCOL.md says. Gives the inclusion proof of the leaf at `wanted`, or whether the proof holds."""
    rest, above = list(proof), []

    def walk(held, start, end):
        if not held:
            return rest.pop(0)
        if end - start == 1:
            return held[0][1]
        middle = start + split(end - start)
        left = walk([h for h in held if h[0] < middle], start, middle)
        right = walk([h for h in held if h[0] >= middle], middle, end)
        if wanted is not None and start <= wanted < end:
            above.append(right if wanted < middle else left)
        return sha(b"\1", left, right)

    positions = [p for p, _ in placed]
    if not placed or positions != sorted(set(positions)) or positions[-1] >= size or size > 1 << 62:
        return False
    try:
        holds = walk(placed, 0, size) == root and not rest
    except IndexError:
        return False
    return above if holds and wanted is not None else holds


def leaves(n):
    return [leaf_hash(i.to_bytes(8, "big")) for i in range(n)]


def root_from_inclusion(leaf, index, size, proof):
    """RFC 9162, section 2.1.3.2."""
    fn, sn, r = index, size - 1, leaf
    for p in proof:
        if sn == 0:
            return None
        if fn & 1 or fn == sn:
            r = sha(b"\1", p, r)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = sha(b"\1", r, p)
        fn, sn = fn >> 1, sn >> 1
    return r if sn == 0 else None


# Notes.
def read_note(note):
    text, _, lines = note.rpartition("\n\n")
    signatures = []
    for line in lines.removesuffix("\n").split("\n"):
        dash, name, data = line.split(" ")
        assert dash == "—"
        data = unb64(data)
        signatures.append((name, data[:4], data[4:]))
    return text + "\n", signatures


def key_id(name, kind, key):
    return sha(name.encode(), b"\n", bytes([kind]), key)[:4]


def read_vkey(vkey):
    name, id_, material = vkey.split("+", 2)
    material = unb64(material)
    same(key_id(name, material[0], material[1:]).hex(), id_, f"id of {name}")
    return name, material[0], material[1:]


def check_signed(note, vkey):
    """Checks one key's signature lines on a note and gives the note's text."""
    (name, kind, key), (text, signatures) = read_vkey(vkey), read_note(note)
    found = [s for n, i, s in signatures if n == name and i == key_id(name, kind, key)]
    same(bool(found), True, f"a line by {name}")
    for signature in found:
        same(verifies(key, text.encode(), signature), True, f"signature by {name}")
    return text


def check_checkpoint(note):
    text, signatures = read_note(note)
    origin, size, root = text.removesuffix("\n").split("\n")
    artel, federation, peer, incarnation = origin.split("/")
    same((artel, len(bytes.fromhex(federation)), str(int(incarnation))), ("artel", 32, incarnation), "origin")
    key = unbase58(peer)
    same(key[:6].hex(), "002408011220", "peer id")
    name, id_, signature = signatures[0]
    same((name, id_), (origin, key_id(origin, 1, key[6:])), "the log's own line")
    same(verifies(key[6:], text.encode(), signature), True, "the log's signature")
    return text, int(size), unb64(root)


# The one encoding, and what travels in it.
class Refused(Exception):
    """Why something is refused, in one word."""


class Bytes:
    """What is left of an encoded value."""

    def __init__(self, data):
        self.data = data

    def take(self, count):
        if count > len(self.data):
            raise Refused("codec")
        taken, self.data = self.data[:count], self.data[count:]
        return taken

    def number(self, count=8):
        return int.from_bytes(self.take(count), "little")

    def tagged(self, count):
        if self.take(1) != b"\1":
            raise Refused("codec")
        return self.take(count)

    def list(self, read):
        return [read() for _ in range(self.number())]

    def blob(self):
        return self.take(self.number())

    def option(self, read):
        return read() if self.number(1) else None

    def end(self):
        if self.data:
            raise Refused("codec")


def u64(number):
    return number.to_bytes(8, "little")


def read_frame(data):
    head = Bytes(data)
    kind, version, length = head.number(2), head.number(2), head.number(4)
    if length != len(head.data):
        raise Refused("codec")
    return kind, version, Bytes(head.data)


def frame_of(kind, payload):
    return kind.to_bytes(2, "little") + b"\1\0" + len(payload).to_bytes(4, "little") + payload


def origin_text(federation, key, incarnation):
    return f"artel/{federation.hex()}/{base58(bytes.fromhex('002408011220') + key)}/{incarnation}"


def read_records(data, home):
    """Makes every check of "Records", in its order. Gives the checkpoint's note, its size, the records and their proof."""
    if len(data) > 65_536:
        raise Refused("size")
    kind, version, b = read_frame(data)
    if (kind, version) != (0x0110, 1):
        raise Refused("unknown")
    federation, key, incarnation, size, root = b.take(32), b.tagged(32), b.number(4), b.number(), b.take(32)
    if size > 1 << 62 or size == 0 and root != sha():
        raise Refused("codec")
    signature = b.tagged(64)
    records = b.list(lambda: (b.number(), b.number(), b.take(16), b.take(b.number())))
    proof = b.list(lambda: b.take(32))
    b.end()
    if federation != home:
        raise Refused("foreign")
    if not 1 <= len(records) <= 1_024 or any(len(body) > 16_384 for _, _, _, body in records):
        raise Refused("size")
    if records[0][1] > records[0][0]:
        raise Refused("order")
    for (i, p, *_), (j, q, *_) in zip(records, records[1:]):
        if not (i < j and p < q and q - p <= j - i):
            raise Refused("order")
    origin = origin_text(federation, key, incarnation)
    text = f"{origin}\n{size}\n{b64(root)}\n"
    if not verifies(key, text.encode(), signature):
        raise Refused("signature")
    placed = [(i, record_leaf(p, salt, body)) for i, p, salt, body in records]
    if not check_subset(placed, size, proof, root):
        raise Refused("tree")
    return f"{text}\n— {origin} {b64(key_id(origin, 1, key) + signature)}\n", size, root, records, placed, proof


def record_leaf(public_seq, salt, body):
    return leaf_hash(b"\1\1" + public_seq.to_bytes(8, "big") + sha(salt, body))


def why(read, *arguments):
    """The word for why something is refused, if it is."""
    try:
        read(*arguments)
    except Refused as refused:
        return refused.args[0]


def padded(row):
    return bytes.fromhex(row["head"]) + bytes(row["zeros"]) + bytes.fromhex(row["tail"])


def check_records():
    file = load("record")
    home, journal, before = bytes.fromhex(file["federation"]), [], 0
    for row in file["journal"]:
        salt, body = bytes.fromhex(row["salt"]), bytes.fromhex(row["body"])
        same(row["public_seq"], before, "number among the public entries")
        journal.append(leaf_hash(bytes([1, row["class"]]) + before.to_bytes(8, "big") + sha(salt, body)))
        before += row["class"]
    _, size, root = check_checkpoint(file["checkpoint"])
    same((size, root), (len(journal), mth(journal)), "the journal's checkpoint")
    for row in file["frames"]:
        held = bytes.fromhex(row["frame"])
        note, size, root, records, placed, proof = read_records(held, home)
        same(note, file["checkpoint"], "the frame's checkpoint")
        same(placed, [(i, journal[i]) for i in row["positions"]], "the frame's leaves")
        same(proof, subset_proof(row["positions"], journal), "the frame's proof")
        encoded = u64(len(records)) + b"".join(
            u64(i) + u64(p) + salt + u64(len(body)) + body for i, p, salt, body in records)
        same(held[182:], encoded + u64(len(proof)) + b"".join(proof), "the frame's records")
        for i, p, _, _ in records:
            lines = "".join(b64(h) + "\n" for h in check_subset(placed, size, proof, root, i))
            want, = [r["proof"] for r in file["proofs"] if r["public_seq"] == p]
            same(f"c2sp.org/tlog-proof@v1\nindex {i}\n{lines}\n{note}", want, f"proof of record {p}")
    same(sorted(r["index"] for r in file["proofs"]), [i for i, r in enumerate(file["journal"]) if r["class"]], "proofs")
    for row in file["padded_frames"]:
        same(why(read_records, padded(row), home), None, row["about"])
    for row in file["refused"]:
        same(why(read_records, bytes.fromhex(row["frame"]), home), row["why"], row["about"])
    for row in file["refused_padded"]:
        same(why(read_records, padded(row), home), row["why"], row["about"])


# A sync stream's messages.
ASK, SAME, MARKS, WANT, END, HOLES, RECORDS = *range(0x0120, 0x0126), 0x0110


def check_length(kind, length):
    most = 65_536 - 8 if kind == RECORDS else 8 + 4_096 * 77
    if kind != RECORDS and kind not in range(ASK, HOLES + 1):
        raise Refused("unknown")
    if length > most:
        raise Refused("size")
    return length


def read_head(data):
    head = Bytes(data)
    kind, _, length = head.number(2), head.number(2), head.number(4)
    return check_length(kind, length)


def read_message(data):
    kind, version, b = read_frame(data)
    check_length(kind, len(b.data))
    if kind == RECORDS:
        return ("records",)
    if version != 1:
        raise Refused("unknown")
    origin = lambda: (b.take(32), b.tagged(32), b.number(4))
    mark = lambda: (origin(), b.number())
    message = {
        ASK: lambda: ("ask", b.take(32)), SAME: lambda: ("same",), MARKS: lambda: ("marks", b.list(mark)),
        WANT: lambda: ("want", mark()), END: lambda: ("end", b.number()),
        HOLES: lambda: ("holes", origin(), b.list(lambda: (b.number(), b.number()))),
    }[kind]()
    b.end()
    if kind == MARKS and any(one >= next_ for (one, _), (next_, _) in zip(message[1], message[1][1:])):
        raise Refused("marks")
    if kind == HOLES and not are_holes(message[2]):
        raise Refused("holes")
    return message


def are_holes(ranges):
    full = all(start < end <= 2**62 for start, end in ranges)
    apart = all(end < start for (_, end), (start, _) in zip(ranges, ranges[1:]))
    return full and apart and 1 <= len(ranges) <= 1_024


def mark_of(row):
    _, federation, peer, incarnation = row["origin"].split("/")
    return (bytes.fromhex(federation), unbase58(peer)[6:], int(incarnation)), int(row["next"])


def holes_of(row):
    origin, _ = mark_of(row | {"next": "0"})
    return origin, [(int(start), int(end)) for start, end in row["ranges"]]


def encode_origin(o):
    return o[0] + b"\1" + o[1] + o[2].to_bytes(4, "little")


def encode_marks(marks):
    return u64(len(marks)) + b"".join(encode_origin(origin) + u64(next_) for origin, next_ in marks)


def encode_holes(origin, ranges):
    return encode_origin(origin) + u64(len(ranges)) + b"".join(u64(start) + u64(end) for start, end in ranges)


def check_sync():
    file = load("sync")
    for row in file["digests"]:
        digest = sha(b"artel/1/marks\0", encode_marks([mark_of(mark) for mark in row["marks"]]))
        same(digest.hex(), row["digest"], "digest of marks")
    for row in file["messages"]:
        name, held = row["message"], bytes.fromhex(row["bytes"])
        marks = [mark_of(mark) for mark in row.get("marks", [])]
        said, kind, payload = {
            "ask": lambda: (("ask", bytes.fromhex(row["digest"])), ASK, bytes.fromhex(row["digest"])),
            "same": lambda: (("same",), SAME, b""),
            "marks": lambda: (("marks", marks), MARKS, encode_marks(marks)),
            "want": lambda: (("want", mark_of(row["mark"])), WANT, encode_marks([mark_of(row["mark"])])[8:]),
            "end": lambda: (("end", int(row["next"])), END, u64(int(row["next"]))),
            "records": lambda: (("records",), None, None),
            "holes": lambda: (("holes", *holes_of(row)), HOLES, encode_holes(*holes_of(row))),
        }[name]()
        same(read_message(held), said, name)
        same(read_head(held[:8]), len(held) - 8, "payload's length")
        if kind:
            same(held, frame_of(kind, payload), f"bytes of {name}")
    for row in file["lengths"]:
        same(read_head(bytes.fromhex(row["head"])), row["payload"], "payload's length")
    for row in file["refused_heads"]:
        same(why(read_head, bytes.fromhex(row["head"])), row["why"], row["head"])
    for row in file["refused"]:
        same(why(read_message, bytes.fromhex(row["bytes"])), row["why"], row["about"])
    for row in file["refused_padded"]:
        same(why(read_message, padded(row)), row["why"], row["about"])


def check_topics():
    file = load("topic")
    base = f"artel/1/{file['federation']}/"
    names = {0: "agents", 1: "trust", 2: "heads"} | {16 + shard: f"tasks/{shard}" for shard in range(16)}
    same({row["number"]: row["name"] for row in file["topics"]}, {n: base + t for n, t in names.items()}, "topics")
    for row in file["offers"]:
        skills = [skill.partition("@")[0].encode() for skill in row["skills"]]
        shard = sha(min(skills))[0] % 16 if skills else 0
        same((row["shard"], row["name"]), (shard, f"{base}tasks/{shard}"), f"shard of {row['skills']}")


# What witnesses say to each other.
HEAD, COSIGNED, FRAUD, ASK_SIZES, SHOWN = range(0x0111, 0x0116)


def continues(old, old_root, new, new_root, proof):
    """RFC 9162, section 2.1.4.2: whether a consistency proof leads to both roots."""
    if old > new or old in (0, new):
        return old <= new and not proof and old_root == (sha() if old == 0 else new_root)
    nodes = ([old_root] if old & (old - 1) == 0 else []) + list(proof)
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    if not nodes:
        return False
    fr = sr = nodes[0]
    for c in nodes[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = sha(b"\1", c, fr), sha(b"\1", c, sr)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = sha(b"\1", sr, c)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and (fr, sr) == (old_root, new_root)


def read_origin(b):
    return b.take(32), b.tagged(32), b.number(4)


def read_checkpoint(b):
    origin, size, root = read_origin(b), b.number(), b.take(32)
    if size > 1 << 62 or size == 0 and root != sha():
        raise Refused("codec")
    return origin, size, root


def text_of(checkpoint):
    origin, size, root = checkpoint
    return f"{origin_text(*origin)}\n{size}\n{b64(root)}\n"


def check_head(signed, home):
    """A checkpoint and its signature: of this federation, and by its node."""
    (origin, size, root), signature = signed
    if origin[0] != home:
        raise Refused("foreign")
    if not verifies(origin[1], text_of(signed[0]).encode(), signature):
        raise Refused("signature")
    name = origin_text(*origin)
    return f"{text_of(signed[0])}\n— {name} {b64(key_id(name, 1, origin[1]) + signature)}\n"


def unwrap(data, wanted):
    if len(data) > 16_384:
        raise Refused("size")
    kind, version, b = read_frame(data)
    if (kind, version) != (wanted, 1):
        raise Refused("unknown")
    return b


def read_signed(b):
    return read_checkpoint(b), b.tagged(64)


def read_hashes(b):
    return b.list(lambda: b.take(32))


def read_head_frame(data, home):
    b = unwrap(data, HEAD)
    signed, old, proof = read_signed(b), b.number(), read_hashes(b)
    b.end()
    if len(proof) > 63:
        raise Refused("size")
    return check_head(signed, home), signed[0], old, proof


def read_cosigned(data, home):
    b = unwrap(data, COSIGNED)
    checkpoint, witness, at_s, signature = read_checkpoint(b), b.tagged(32), b.number(), b.tagged(64)
    b.end()
    if checkpoint[0][0] != home:
        raise Refused("foreign")
    message = f"cosignature/v1\ntime {at_s}\n{text_of(checkpoint)}".encode()
    if not 0 < at_s < 1 << 63 or not verifies(witness, message, signature):
        raise Refused("signature")
    name = f"artel/{home.hex()}/{base58(bytes.fromhex('002408011220') + witness)}"
    return f"— {name} {b64(key_id(name, 4, witness) + at_s.to_bytes(8, 'big') + signature)}"


def read_fraud(data, home):
    """Checks a proof that a node lied, and says how and about which journal."""
    b = unwrap(data, FRAUD)
    variant = b.number(4)
    if variant > 2:
        raise Refused("codec")
    if variant == 1:
        index = b.number()
        placed = [(b.take(32), read_hashes(b), read_signed(b)) for _ in range(2)]
        b.end()
        for leaf, proof, signed in placed:
            check_head(signed, home)
            if index >= signed[0][1] or root_from_inclusion(leaf, index, signed[0][1], proof) != signed[0][2]:
                raise Refused("tree")
        holds = placed[0][0] != placed[1][0]
        one, other = placed[0][2][0], placed[1][2][0]
    else:
        first, second = read_signed(b), read_signed(b)
        root, proof = (b.take(32), read_hashes(b)) if variant == 2 else (None, None)
        b.end()
        for signed in (first, second):
            check_head(signed, home)
        one, other = first[0], second[0]
        if variant == 0:
            holds = one[1] == other[1] and one[2] != other[2]
        else:
            holds = root != one[2]
            if holds and one[0] == other[0] and not continues(one[1], root, other[1], other[2], proof):
                raise Refused("tree")
    if not holds or one[0] != other[0]:
        raise Refused("no_contradiction")
    return ("two_roots", "two_leaves", "rewritten")[variant], origin_text(*one[0])


def read_ask(data, home):
    b = unwrap(data, ASK_SIZES)
    origin, sizes = read_origin(b), b.list(b.number)
    b.end()
    if origin[0] != home:
        raise Refused("foreign")
    if not 1 <= len(sizes) <= 4 or sizes != sorted(set(sizes)):
        raise Refused("size")
    return origin, sizes


def read_shown(data, ask):
    b = unwrap(data, SHOWN)
    signed, shown = read_signed(b), b.list(lambda: (b.take(32), read_hashes(b)))
    b.end()
    if len(shown) != len(ask[1]) or any(len(proof) > 63 for _, proof in shown):
        raise Refused("size")
    if signed[0][0] != ask[0]:
        raise Refused("foreign")
    return check_head(signed, ask[0][0]), signed[0], shown


def check_witnesses():
    file = load("witness")
    home = bytes.fromhex(file["federation"])
    for row in file["heads"]:
        note, (_, size, root), old, proof = read_head_frame(bytes.fromhex(row["bytes"]), home)
        same((note, old), (row["checkpoint"], row["old"]), "head")
        same(continues(old, unb64(row["old_root"]), size, root, proof), True, "what a head continues")
    for row in file["cosigned"]:
        same(read_cosigned(bytes.fromhex(row["bytes"]), home), row["line"], "cosignature's line")
    for row in file["frauds"]:
        same(read_fraud(bytes.fromhex(row["bytes"]), home), (row["lie"], row["origin"]), "proof of fraud")
    ask = read_ask(bytes.fromhex(file["ask"]["bytes"]), home)
    same((origin_text(*ask[0]), ask[1]), (file["ask"]["origin"], file["ask"]["sizes"]), "question")
    note, (_, size, root), shown = read_shown(bytes.fromhex(file["shown"]["bytes"]), ask)
    same((note, [b64(r) for r, _ in shown]), (file["shown"]["checkpoint"], file["shown"]["roots"]), "answer")
    for old, (old_root, proof) in zip(ask[1], shown):
        same(continues(old, old_root, size, root, proof), True, "what an answer shows")
    readers = {
        "head": lambda data: read_head_frame(data, home), "cosigned": lambda data: read_cosigned(data, home),
        "fraud": lambda data: read_fraud(data, home), "ask": lambda data: read_ask(data, home),
        "shown": lambda data: read_shown(data, ask),
    }
    for row in file["refused"]:
        same(why(readers[row["message"]], bytes.fromhex(row["bytes"])), row["why"], row["about"])


# What two nodes say first, and invitations.
def did(key):
    return "did:key:z" + base58(b"\xed\x01" + key)


def hexed(data):
    return None if data is None else data.hex()


def check_invitation(row):
    data = bytes.fromhex(row["bytes"])
    word = base64.urlsafe_b64encode(data).decode().rstrip("=")
    same("artel-invitation-1:" + word, row["text"], "invitation's text")
    r = Bytes(data)
    genesis, issuer = r.blob(), r.tagged(32)
    addresses = [a.decode("ascii") for a in r.list(r.blob)]
    secret, until = r.option(lambda: r.take(16)), r.number(8)
    content, signature = data[:len(data) - len(r.data)], r.tagged(64)
    r.end()
    federation = sha(b"artel/1/genesis\0", genesis)
    got = (genesis.hex(), federation.hex(), did(issuer), addresses, hexed(secret), until)
    same(got, tuple(row[k] for k in ("genesis", "federation", "issuer", "addresses", "secret", "until")), "invitation")
    same(None if secret is None else "sha256:" + sha(secret).hex(), row["digest"], "invitation's digest")
    same(verifies(issuer, b"artel/1/invitation\0" + federation + content, signature), True, "invitation's signature")


def unframed(data, kind):
    r = Bytes(data)
    same((r.number(2), r.number(2)), (kind, 1), "frame's kind and version")
    same(r.number(4), len(data) - 8, "frame's length")
    return r


def check_hello(row):
    r = unframed(bytes.fromhex(row["bytes"]), 0x0101)
    federation, node, incarnation, at = r.take(32), r.tagged(32), r.number(4), r.number(8)
    signature = r.tagged(64)
    addresses = [a.decode("ascii") for a in r.list(r.blob)]
    chain, secret = [record.hex() for record in r.list(r.blob)], r.option(lambda: r.take(16))
    r.end()
    payload = b"\1" + node + incarnation.to_bytes(4, "little") + at.to_bytes(8, "little")
    covered = b"artel/1/hello\0" + federation + payload
    got = (federation.hex(), did(node), incarnation, at, covered.hex(), addresses, chain, hexed(secret))
    fields = ("federation", "node", "incarnation", "at", "signed", "addresses", "chain", "secret")
    same(got, tuple(row[k] for k in fields), "hello")
    same((signature.hex(), verifies(node, covered, signature)), (row["signature"], True), "hello's signature")


def check_welcome(row):
    r = unframed(bytes.fromhex(row["bytes"]), 0x0102)
    accept, code, message = r.number(1), r.blob().decode(), r.blob().decode()
    admission = [record.hex() for record in r.list(r.blob)]
    r.end()
    got = (accept == 1, code, message, admission)
    same(got, tuple(row[k] for k in ("accept", "code", "message", "admission")), "welcome")


def read_summary(data, home):
    """Makes every check of "Summaries", in its order."""
    if len(data) > 64_512:
        raise Refused("size")
    kind, version, r = read_frame(data)
    if (kind, version) != (0x0140, 1):
        raise Refused("unknown")
    payload = r.data

    def origin():
        return r.take(32), r.tagged(32), r.number(4)

    viewer, at, heads = origin(), r.number(), r.take(32)
    marks = r.list(lambda: (origin(), r.number()))
    scores = r.list(lambda: (r.tagged(32), r.number(4), r.number(4), r.number()))
    said = payload[:len(payload) - len(r.data)]
    signature = r.tagged(64)
    r.end()
    if viewer[0] != home:
        raise Refused("foreign")
    encoded = said[77 + 32:77 + 32 + 8 + 77 * len(marks)]
    ascending = all(a[0] < b[0] for a, b in zip(marks, marks[1:]))
    if len(marks) > 256 or not ascending or marks and sha(b"artel/1/marks\0", encoded) != heads:
        raise Refused("marks")
    ascending = all(a[0] < b[0] for a, b in zip(scores, scores[1:]))
    if not 1 <= len(scores) <= 512 or not ascending or not all(s[2] <= s[1] <= 10**6 for s in scores):
        raise Refused("scores")
    if not verifies(viewer[1], b"artel/1/summary\0" + home + said, signature):
        raise Refused("signature")
    return viewer, at, heads, marks, scores


def origin_of(text):
    _, federation, peer, incarnation = text.split("/")
    return bytes.fromhex(federation), unbase58(peer)[6:], int(incarnation)


def heads_of(marks, gaps, liars):
    """What somebody has read that passed these gaps over and holds proofs against these nodes."""
    def origin_bytes(origin):
        return origin[0] + b"\1" + origin[1] + origin[2].to_bytes(4, "little")

    def listed(items):
        return len(items).to_bytes(8, "little") + b"".join(items)

    marks = [origin_bytes(o) + n.to_bytes(8, "little") for o, n in marks if o[1] not in liars]
    gaps = [origin_bytes(o) + digest for o, digest in sorted(gaps) if o[1] not in liars]
    heads = sha(b"artel/1/marks\0", listed(marks))
    if gaps:
        heads = sha(b"artel/1/gaps\0", heads + listed(gaps))
    if liars:
        heads = sha(b"artel/1/liars\0", heads + listed([b"\1" + node for node in sorted(liars)]))
    return heads


def check_summaries():
    vectors = load("summary")
    home = bytes.fromhex(vectors["federation"])
    for row in vectors["summaries"]:
        viewer, at, heads, marks, scores = read_summary(bytes.fromhex(row["bytes"]), home)
        got = {
            "viewer": origin_text(*viewer), "at": at, "heads": heads.hex(), "bytes": row["bytes"],
            "marks": [{"origin": origin_text(*origin), "next": str(next_)} for origin, next_ in marks],
            "scores": [
                {"agent": did(agent), "score": score, "lower": lower, "receipts_micro": str(receipts)}
                for agent, score, lower, receipts in scores
            ],
        }
        same(got, row, "summary")
    marks = read_summary(bytes.fromhex(vectors["summaries"][0]["bytes"]), home)[3]
    for row in [vectors["passed_over"], *vectors["liars"]]:
        gaps = [(origin_of(gap["origin"]), bytes.fromhex(gap["digest"])) for gap in row["gaps"]]
        liars = [unbase58(node.removeprefix("did:key:z"))[2:] for node in row.get("nodes", [])]
        same(heads_of(marks, gaps, liars).hex(), row["heads"], "heads")
    for row in vectors["refused"]:
        same(why(read_summary, bytes.fromhex(row["bytes"]), home), row["why"], row["about"])


def main():
    keys = load("keys")
    for row in keys["keys"]:
        key = bytes.fromhex(row["public"])
        same("did:key:z" + base58(b"\xed\x01" + key), row["did"], "did")
        same(base58(bytes.fromhex("002408011220") + key), row["peer_id"], "peer id")
        same("01" + key.hex(), row["encoded"], "encoded key")
        message = bytes.fromhex(row["message"])
        covered = b"artel/1/vector\0" + bytes.fromhex(keys["federation"]) + message
        same(covered.hex(), row["signed_bytes"], "signed bytes")
        same(verifies(key, message, bytes.fromhex(row["signature"])), True, "signature")
        same(verifies(key, covered, bytes.fromhex(row["signature_of_signed_bytes"])), True, "signature")

    ids = load("ids")
    run = bytearray(ids["at_ms"].to_bytes(6, "big") + bytes.fromhex(ids["entropy"]) + b"\0")
    run[6], run[8] = 0x70 | run[6] & 0x0F, 0x80 | run[8] & 0x3F
    same(ids["run"].replace("-", ""), run.hex(), "run id")
    for row in ids["steps"]:
        same(row["step"].replace("-", ""), (run[:15] + bytes([row["index"] + 1])).hex(), "step id")

    for row in load("leaf")["leaves"]:
        salt, body = bytes.fromhex(row["salt"]), bytes.fromhex(row["body"])
        leaf = bytes([1, row["class"]]) + int(row["public_seq"]).to_bytes(8, "big") + sha(salt, body)
        same((leaf.hex(), b64(leaf_hash(leaf))), (row["leaf"], row["hash"]), "leaf")

    for row in load("tree")["roots"]:
        d, at, peaks = leaves(row["size"]), 0, []
        same(b64(mth(d)), row["root"], f"root of {row['size']}")
        for bit in reversed(range(20)):
            if row["size"] >> bit & 1:
                peaks.append(b64(mth(d[at:at + (1 << bit)])))
                at += 1 << bit
        same(peaks, row["peaks"], f"peaks of {row['size']}")
    for row in load("inclusion")["proofs"]:
        d = leaves(row["size"])
        same([b64(h) for h in path(row["index"], d)], row["proof"], "inclusion proof")
        same(b64(mth(d)), row["root"], "root")
    for row in load("consistency")["proofs"]:
        d = leaves(row["new"])
        proof = subproof(row["old"], d, True) if row["old"] else []
        same([b64(h) for h in proof], row["proof"], "consistency proof")
    for row in load("range")["proofs"]:
        proof = range_proof(row["start"], row["end"], leaves(row["size"]))
        same([b64(h) for h in proof], row["proof"], "range proof")
    for row in load("subset")["proofs"]:
        d, proof = leaves(row["size"]), [unb64(h) for h in row["proof"]]
        same(subset_proof(row["positions"], d), proof, "subset proof")
        placed = [(p, d[p]) for p in row["positions"]]
        same(check_subset(placed, len(d), proof, unb64(row["root"])), True, "subset proof")
        for p in row["positions"]:
            same(check_subset(placed, len(d), proof, mth(d), p), path(p, d), "inclusion proof in a subset proof")
    for row in load("subset")["refused"]:
        placed = list(zip(row["positions"], map(unb64, row["leaves"])))
        proof = [unb64(h) for h in row["proof"]]
        same(check_subset(placed, row["size"], proof, unb64(row["root"])), False, row["about"])

    for row in load("tile")["paths"]:
        digits = str(row["index"])
        digits = digits.zfill((len(digits) + 2) // 3 * 3)
        parts = [digits[i:i + 3] for i in range(0, len(digits), 3)]
        name = "/".join(["x" + p for p in parts[:-1]] + parts[-1:])
        width = "" if row["width"] == 256 else f".p/{row['width']}"
        same(f"tile/{row['level']}/{name}{width}", row["path"], "tile path")
    for row in load("tile")["bundles"]:
        entries = [bytes.fromhex(e) for e in row["entries"]]
        same(b"".join(len(e).to_bytes(2, "big") + e for e in entries).hex(), row["bytes"], "bundle")

    for row in load("note")["notes"]:
        same(check_signed(row["note"], row["vkey"]), row["text"], "note's text")
    for row in load("checkpoint")["checkpoints"]:
        text, size, root = check_checkpoint(row["note"])
        same((text, size, b64(root)), (row["body"], row["size"], row["root"]), "checkpoint")

    cosigned = load("cosignature")
    text, _, _ = check_checkpoint(cosigned["checkpoint"])
    for row in cosigned["cosignatures"]:
        name, kind, key = read_vkey(row["vkey"])
        (line_name, id_, data), = read_note("x\n\n" + row["line"] + "\n")[1]
        same((kind, line_name, id_, len(data)), (4, name, key_id(name, 4, key), 72), "cosignature line")
        same(int.from_bytes(data[:8], "big"), row["at_s"], "cosignature's time")
        message = f"cosignature/v1\ntime {row['at_s']}\n{text}".encode()
        same(verifies(key, message, data[8:]), True, "cosignature")

    proofs = load("proof")["proofs"]
    same((HERE / "example.tlog-proof").read_text(encoding="utf-8"), proofs[0]["proof"], "example.tlog-proof")
    for row in proofs:
        head, _, checkpoint = row["proof"].partition("\n\n")
        lines = [line for line in head.split("\n") if not line.startswith("extra ")]
        same(lines[0], "c2sp.org/tlog-proof@v1", "first line")
        _, size, root = check_checkpoint(checkpoint)
        index, hashes = int(lines[1].removeprefix("index ")), [unb64(h) for h in lines[2:]]
        same(root_from_inclusion(unb64(row["leaf"]), index, size, hashes), root, "offline proof")

    check_records()
    check_sync()
    check_topics()
    check_witnesses()
    check_summaries()
    for row in load("invitation")["invitations"]:
        check_invitation(row)
    hello = load("hello")
    for row in hello["hellos"]:
        check_hello(row)
    for row in hello["welcomes"]:
        check_welcome(row)
    print(f"{checks} checks agree")


if __name__ == "__main__":
    main()
