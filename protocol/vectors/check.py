#!/usr/bin/env python3
"""Reads the golden vectors with nothing but PROTOCOL.md and the standard library, so that a mistake which our reader and
our writer share would show. Signatures are checked as well where the `cryptography` package is installed.

usage: check.py            ends 0 when everything agrees, 1 with the first thing that does not
"""
import base64, hashlib, json, pathlib, sys

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
except ImportError:
    Ed25519PublicKey = None

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


def verifies(key, message, signature):
    if Ed25519PublicKey is None:
        return True
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
        return True
    except InvalidSignature:
        return False


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


class Reader:
    """Reads values by the table of section "Values"."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        if self.at + count > len(self.data):
            sys.exit("the bytes end early")
        self.at += count
        return self.data[self.at - count:self.at]

    def number(self, size):
        return int.from_bytes(self.take(size), "little")

    def blob(self):
        return self.take(self.number(8))

    def many(self, read):
        return [read() for _ in range(self.number(8))]

    def tagged(self, size):
        same(self.take(1), b"\1", "algorithm")
        return self.take(size)

    def option(self, read):
        return read() if self.number(1) else None

    def done(self):
        same(len(self.data) - self.at, 0, "bytes left over")


def did(key):
    return "did:key:z" + base58(b"\xed\x01" + key)


def hexed(data):
    return None if data is None else data.hex()


def check_invitation(row):
    data = bytes.fromhex(row["bytes"])
    word = base64.urlsafe_b64encode(data).decode().rstrip("=")
    same("artel-invitation-1:" + word, row["text"], "invitation's text")
    r = Reader(data)
    genesis, issuer = r.blob(), r.tagged(32)
    addresses = [a.decode("ascii") for a in r.many(r.blob)]
    secret, until = r.option(lambda: r.take(16)), r.number(8)
    content, signature = data[:r.at], r.tagged(64)
    r.done()
    federation = sha(b"artel/1/genesis\0", genesis)
    got = (genesis.hex(), federation.hex(), did(issuer), addresses, hexed(secret), until)
    same(got, tuple(row[k] for k in ("genesis", "federation", "issuer", "addresses", "secret", "until")), "invitation")
    same(None if secret is None else "sha256:" + sha(secret).hex(), row["digest"], "invitation's digest")
    same(verifies(issuer, b"artel/1/invitation\0" + federation + content, signature), True, "invitation's signature")


def unframed(data, kind):
    r = Reader(data)
    same((r.number(2), r.number(2)), (kind, 1), "frame's kind and version")
    same(r.number(4), len(data) - 8, "frame's length")
    return r


def check_hello(row):
    r = unframed(bytes.fromhex(row["bytes"]), 0x0101)
    federation, node, incarnation, at = r.take(32), r.tagged(32), r.number(4), r.number(8)
    signature = r.tagged(64)
    addresses = [a.decode("ascii") for a in r.many(r.blob)]
    chain, secret = [record.hex() for record in r.many(r.blob)], r.option(lambda: r.take(16))
    r.done()
    payload = b"\1" + node + incarnation.to_bytes(4, "little") + at.to_bytes(8, "little")
    covered = b"artel/1/hello\0" + federation + payload
    got = (federation.hex(), did(node), incarnation, at, covered.hex(), addresses, chain, hexed(secret))
    fields = ("federation", "node", "incarnation", "at", "signed", "addresses", "chain", "secret")
    same(got, tuple(row[k] for k in fields), "hello")
    same((signature.hex(), verifies(node, covered, signature)), (row["signature"], True), "hello's signature")


def check_welcome(row):
    r = unframed(bytes.fromhex(row["bytes"]), 0x0102)
    accept, code, message = r.number(1), r.blob().decode(), r.blob().decode()
    admission = [record.hex() for record in r.many(r.blob)]
    r.done()
    got = (accept == 1, code, message, admission)
    same(got, tuple(row[k] for k in ("accept", "code", "message", "admission")), "welcome")


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

    for row in load("invitation")["invitations"]:
        check_invitation(row)
    hello = load("hello")
    for row in hello["hellos"]:
        check_hello(row)
    for row in hello["welcomes"]:
        check_welcome(row)

    how = "with signatures" if Ed25519PublicKey else "without signatures: no cryptography package"
    print(f"{checks} checks agree, {how}")


main()
