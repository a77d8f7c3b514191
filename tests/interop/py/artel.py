"""What PROTOCOL.md says of bytes, in Python: the encoding, hellos, invitations, frames of records with their proofs, and
the entries that the interop suite looks at. Ed25519 is libsodium's, by PyNaCl, which is as strict as PROTOCOL.md asks; no
library of Artel's.
"""
import base64
import hashlib
import re
import time
from dataclasses import dataclass

import nacl.bindings
import nacl.exceptions
import nacl.signing

HELLO, WELCOME, RECORDS = 0x0101, 0x0102, 0x0110
HELLO_BYTES_MAX = 70_856
RECORDS_BYTES_MAX = 65_536
SKEW_MS = 300_000
ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


class Malformed(Exception):
    """Bytes that a reader refuses."""


def need(condition, otherwise):
    if not condition:
        raise Malformed(otherwise)


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def now_ms():
    return time.time_ns() // 1_000_000


# ---- "Values"


class Reader:
    def __init__(self, data):
        self.data, self.at = bytes(data), 0

    def raw(self, count):
        need(self.at + count <= len(self.data), "the bytes end too soon")
        self.at += count
        return self.data[self.at - count:self.at]

    def number(self, size):
        return int.from_bytes(self.raw(size), "little")

    def u8(self):
        return self.number(1)

    def u16(self):
        return self.number(2)

    def u32(self):
        return self.number(4)

    def u64(self):
        return self.number(8)

    def bool(self):
        value = self.u8()
        need(value < 2, "a bool is 0 or 1")
        return value == 1

    def option(self, read):
        return read(self) if self.bool() else None

    def length(self):
        length = self.u64()
        need(length <= len(self.data) - self.at, "a length beyond the bytes")
        return length

    def bytes(self):
        return self.raw(self.length())

    def text(self):
        try:
            return self.bytes().decode()
        except UnicodeDecodeError as error:
            raise Malformed("a text that is not UTF-8") from error

    def list(self, read):
        return [read(self) for _ in range(self.length())]

    def variant(self, count):
        number = self.u32()
        need(number < count, f"there is no variant {number}")
        return number

    def key(self):
        need(self.u8() == 1, "the only algorithm is 1, Ed25519")
        return self.raw(32)

    def signature(self):
        need(self.u8() == 1, "the only algorithm is 1, Ed25519")
        return self.raw(64)

    def end(self, value=None):
        need(self.at == len(self.data), f"{len(self.data) - self.at} bytes too many")
        return value


def u8(value):
    return value.to_bytes(1, "little")


def u16(value):
    return value.to_bytes(2, "little")


def u32(value):
    return value.to_bytes(4, "little")


def u64(value):
    return value.to_bytes(8, "little")


def option(encoded):
    return b"\0" if encoded is None else b"\1" + encoded


def byte_string(data):
    return u64(len(data)) + data


def text(value):
    return byte_string(value.encode())


def list_of(values):
    return u64(len(values)) + b"".join(values)


def key(raw):
    return b"\1" + raw


def frame(kind, version, payload):
    return u16(kind) + u16(version) + u32(len(payload)) + payload


def parse_frame(data):
    """Kind, version, payload."""
    reader = Reader(data)
    kind, version, length = reader.u16(), reader.u16(), reader.u32()
    need(length == len(data) - 8, "a frame takes up all of its bytes")
    return kind, version, reader.raw(length)


# ---- "Ids and keys"


def peer_id(public_key):
    """A key's form as a libp2p peer id."""
    number, said = int.from_bytes(bytes.fromhex("002408011220") + public_key, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        said = ALPHABET[digit] + said
    return "1" + said


def verifies(public_key, message, signature):
    """libsodium refuses an S that is not canonical, and a key or R of small order."""
    try:
        nacl.bindings.crypto_sign_open(signature + message, public_key)
        return True
    except nacl.exceptions.BadSignatureError:
        return False


class Signer:
    """The key whose 32 secret bytes these are."""

    def __init__(self, seed):
        self.secret = nacl.signing.SigningKey(seed)
        self.public_key = bytes(self.secret.verify_key)

    def sign(self, message):
        return self.secret.sign(message).signature


def signed_part(domain, federation, payload):
    return f"artel/1/{domain}".encode() + b"\0" + federation + payload


# ---- "The log": tree, subset proofs, checkpoints


def leaf_hash(leaf):
    return sha256(b"\0", leaf)


def node_hash(left, right):
    return sha256(b"\1", left, right)


def subset_root(leaves, size, proof):
    """The root that some leaves (index and hash, ascending) and a subset proof lead to in a tree of a size."""
    rest = list(proof)

    def walk(start, end, inside):
        if not inside:
            need(rest, "a hash too few in the proof")
            return rest.pop(0)
        if end - start == 1:
            return inside[0][1]
        middle = start + (1 << (end - start - 1).bit_length() - 1)
        left = walk(start, middle, [leaf for leaf in inside if leaf[0] < middle])
        return node_hash(left, walk(middle, end, [leaf for leaf in inside if leaf[0] >= middle]))

    root = walk(0, size, leaves)
    need(not rest, "a hash too many in the proof")
    return root


@dataclass
class Checkpoint:
    federation: bytes
    node: bytes
    incarnation: int
    size: int
    root: bytes

    def text(self):
        origin = f"artel/{self.federation.hex()}/{peer_id(self.node)}/{self.incarnation}"
        return f"{origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n".encode()


@dataclass
class Record:
    index: int
    public_seq: int
    salt: bytes
    body: bytes

    def leaf(self):
        return b"\1\1" + self.public_seq.to_bytes(8, "big") + sha256(self.salt, self.body)


# ---- "Records"


def check_records(data, federation):
    """Checks a frame of records in the eight steps of PROTOCOL.md: its checkpoint and records, or `Malformed`."""
    need(len(data) <= RECORDS_BYTES_MAX, "a frame of records has at most 65,536 bytes")
    kind, version, payload = parse_frame(data)
    need((kind, version) == (RECORDS, 1), f"a frame of kind {kind}, version {version}")
    reader = Reader(payload)
    checkpoint = Checkpoint(reader.raw(32), reader.key(), reader.u32(), reader.u64(), reader.raw(32))
    signature = reader.signature()
    records = reader.list(lambda r: Record(r.u64(), r.u64(), r.raw(16), r.bytes()))
    proof = reader.list(lambda r: r.raw(32))
    reader.end()
    need(checkpoint.size <= 1 << 62, "more than 2^62 leaves")
    need(checkpoint.size > 0 or checkpoint.root == sha256(b""), "an empty tree with another root")
    need(checkpoint.federation == federation, "of another federation")
    need(1 <= len(records) <= 1_024, f"{len(records)} records")
    need(all(len(record.body) <= 16_384 for record in records), "a body that is too long")
    need(records[0].public_seq <= records[0].index, "the first number is above its index")
    for before, after in zip(records, records[1:]):
        need(0 < after.public_seq - before.public_seq <= after.index - before.index, "records that cannot follow each other")
    need(verifies(checkpoint.node, checkpoint.text(), signature), "the checkpoint is not signed by its node")
    need(records[-1].index < checkpoint.size, "an index beyond the tree")
    leaves = [(record.index, leaf_hash(record.leaf())) for record in records]
    need(subset_root(leaves, checkpoint.size, proof) == checkpoint.root, "the proof does not lead to the root")
    return checkpoint, records


def journal_of_one(me, federation, salt, body):
    """A journal of one public entry, as the frame of records that shows it."""
    record = Record(0, 0, salt, body)
    checkpoint = Checkpoint(federation, me.public_key, 0, 1, leaf_hash(record.leaf()))
    return frame(RECORDS, 1, b"".join([
        federation, key(me.public_key), u32(0), u64(1), checkpoint.root,
        b"\1", me.sign(checkpoint.text()),
        list_of([u64(0) + u64(0) + salt + byte_string(body)]),
        list_of([]),
    ]))


# ---- "Topics" and "Gossip"

TOPICS = ["agents", "trust", "heads", *(f"tasks/{shard}" for shard in range(16))]


def topic_name(federation, rest):
    return f"artel/1/{federation.hex()}/{rest}"


def offer_topic(skills):
    names = sorted(name.encode() for name, _ in skills)
    return f"tasks/{sha256(names[0])[0] % 16 if names else 0}"


def message_id(topic, data):
    """What a gossip message is called."""
    return sha256(topic.encode(), b"\0", data)[:20]


# ---- "Entries"


def skill(reader):
    return [reader.text(), reader.u32()]


def genesis_in(reader):
    """A genesis record, with the bytes that it was read from."""
    start = reader.at
    record = {
        "name": reader.text(), "founders": reader.list(Reader.key), "admission": reader.variant(2),
        "recovery": reader.raw(32), "created": reader.u64(),
    }
    return {**record, "bytes": reader.data[start:reader.at]}


def admitted_by(reader):
    return [lambda: ("open",), lambda: ("invitation", reader.raw(32)), lambda: ("operator",)][reader.variant(3)]()


FIELDS = {
    3: lambda r: {"genesis": genesis_in(r), "recovery": r.raw(32)},
    4: lambda r: {"node": r.key(), "by": admitted_by(r)},
    48: lambda r: {
        "step": r.raw(16),
        "epoch": r.u32(),
        "skills": r.list(skill),
        "complexity": r.variant(4),
        "level": r.option(lambda o: o.variant(4)),
        "reward": r.u64(),
        "deadline": r.u64(),
        "terms": r.raw(32),
        "window_ms": r.u32(),
        "top": r.u8(),
        "verdict_within_ms": r.u32(),
    },
}


def decode_entry(body):
    """A public entry's kind and fields; of a kind that is not looked at here nothing but its number."""
    kind, version, payload = parse_frame(body)
    if kind not in FIELDS:
        return kind, None
    need(version == 1, f"version {version} of kind {kind}")
    reader = Reader(payload)
    reader.u64()
    need(reader.option(Reader.text) is None, "a public entry names no request")
    return kind, reader.end(FIELDS[kind](reader))


def joined(genesis, recovery):
    """The body of a `Joined`, which a journal of a node that is no founder begins with."""
    return frame(3, 1, u64(now_ms()) + option(None) + genesis["bytes"] + recovery)


# ---- "Hello and invitations"


@dataclass
class Invitation:
    genesis: dict
    federation: bytes
    issuer: bytes
    addresses: list
    secret: bytes | None


def parse_invitation(said):
    prefix = "artel-invitation-1:"
    need(said.startswith(prefix), "this is no invitation")
    encoded = said.removeprefix(prefix)
    data = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
    need(base64.urlsafe_b64encode(data).decode().rstrip("=") == encoded, "base64url that is not in its one form")
    reader = Reader(data)
    record = Reader(reader.bytes())
    genesis = record.end(genesis_in(record))
    issuer, addresses = reader.key(), reader.list(Reader.text)
    secret, _until = reader.option(lambda r: r.raw(16)), reader.u64()
    signed = data[:reader.at]
    signature = reader.end(reader.signature())
    federation = sha256(b"artel/1/genesis\0", genesis["bytes"])
    need(verifies(issuer, signed_part("invitation", federation, signed), signature), "the invitation is not its issuer's")
    return Invitation(genesis, federation, issuer, addresses, secret)


def hello_part(federation, node, incarnation, at):
    return signed_part("hello", federation, key(node) + u32(incarnation) + u64(at))


def hello(me, federation, addresses, chain, secret):
    at = now_ms()
    return frame(HELLO, 1, b"".join([
        federation, key(me.public_key), u32(0), u64(at),
        b"\1", me.sign(hello_part(federation, me.public_key, 0, at)),
        list_of([text(address) for address in addresses]),
        list_of([byte_string(record) for record in chain]),
        option(secret),
    ]))


@dataclass
class Hello:
    federation: bytes
    node: bytes
    incarnation: int
    at: int
    signature: bytes
    addresses: list
    chain: list
    secret: bytes | None


class Unwelcome(Exception):
    """A hello that is refused; its text is the code for the welcome."""


def check_hello(data, home, peer):
    """Checks a peer's hello and that it belongs to the federation."""

    def refuse(condition, code):
        if not condition:
            raise Unwelcome(code)

    try:
        need(len(data) <= HELLO_BYTES_MAX, "a hello that is too long")
        kind, version, payload = parse_frame(data)
        need((kind, version) == (HELLO, 1), "no hello")
        r = Reader(payload)
        said = r.end(Hello(
            r.raw(32), r.key(), r.u32(), r.u64(), r.signature(), r.list(Reader.text), r.list(Reader.bytes),
            r.option(lambda o: o.raw(16))))
    except Malformed as error:
        raise Unwelcome("hello_malformed") from error
    well_formed = all(re.fullmatch(r"[\x21-\x7e]{1,256}", address) for address in said.addresses)
    refuse(len(said.addresses) <= 16 and well_formed, "hello_malformed")
    refuse(len(said.chain) <= 8 and all(1 <= len(record) <= 8_192 for record in said.chain), "hello_malformed")
    refuse(said.federation == home.federation, "other_federation")
    refuse(said.node == peer, "other_node")
    refuse(abs(said.at - now_ms()) <= SKEW_MS, "clock_skew")
    part = hello_part(home.federation, said.node, said.incarnation, said.at)
    refuse(verifies(said.node, part, said.signature), "bad_signature")
    if said.node not in home.genesis["founders"]:
        try:
            check_chain(said.chain, home, said.node)
        except Malformed as error:
            raise Unwelcome("not_a_member") from error
    return said


def check_chain(chain, home, node):
    """Whether a chain of admissions leads from a node to a founder; `Malformed` where it does not."""
    need(1 <= len(chain) <= 8, f"{len(chain)} admissions")
    founders, is_open = home.genesis["founders"], home.genesis["admission"] == 0
    wanted, seen = node, []
    for data in chain:
        need(wanted not in founders and wanted not in seen, "a founder is admitted, or a node twice")
        checkpoint, records = check_records(data, home.federation)
        need(len(records) == 1, "one admission a record")
        kind, fields = decode_entry(records[0].body)
        need(kind == 4 and fields["node"] == wanted, "the admission of somebody else")
        need(is_open or fields["by"][0] != "open", "an open door where there is none")
        need(not is_open or checkpoint.node in founders, "in an open federation founders alone admit")
        seen.append(wanted)
        wanted = checkpoint.node
    need(wanted in founders, "the chain does not end at a founder")


def welcome(code="", message=""):
    return frame(WELCOME, 1, u8(code == "") + text(code) + text(message) + list_of([]))


def parse_welcome(data):
    """Whether it accepts, the code, the chain."""
    need(len(data) <= HELLO_BYTES_MAX, "a welcome that is too long")
    kind, version, payload = parse_frame(data)
    need((kind, version) == (WELCOME, 1), "no welcome")
    reader = Reader(payload)
    accept, code, message = reader.bool(), reader.text(), reader.text()
    admission = reader.end(reader.list(Reader.bytes))
    need(accept == (code == "") and accept == (message == ""), "a welcome with a reason, or a refusal without")
    return accept, code, admission
