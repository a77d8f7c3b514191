#!/usr/bin/env python3
"""Strangers' tools against a running node: what PROTOCOL.md promises, checked with none of our code.

    python3 tests/strangers/run.py PATH-TO-ARTEL

Needs the packages of requirements.txt and openssl. Ends 0 when everybody agrees, 1 with the first thing that does not.
"""
import base64
import datetime
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
import urllib.error
import urllib.request
import uuid

import jwt
import pymerkle
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding, NoEncryption, PrivateFormat, PublicFormat, load_pem_private_key)

# How long anything may take; nobody waits it out unless something is broken.
DEADLINE = 90
ROOT = pathlib.Path(__file__).resolve().parents[2]
# A result as `json.dumps` writes it, so that its digest is known.
OUTPUT = '{"words": 3}'
ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def base58(raw):
    number, text = int.from_bytes(raw, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = ALPHABET[digit] + text
    return "1" * (len(raw) - len(raw.lstrip(b"\0"))) + text


def from_base58(text):
    number = 0
    for letter in text:
        number = number * 58 + ALPHABET.index(letter)
    rest = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return b"\0" * (len(text) - len(text.lstrip("1"))) + rest


def raw_public(key):
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def did_of(public):
    return "did:key:z" + base58(b"\xed\x01" + raw_public(public))


def key_of_peer(peer_id):
    raw = from_base58(peer_id)
    assert raw[:6] == bytes.fromhex("002408011220") and len(raw) == 38, peer_id
    return Ed25519PublicKey.from_public_bytes(raw[6:])


def refused(check, error):
    """Whether a check refuses, as it must."""
    try:
        check()
    except error:
        return True
    return False


def b64(text):
    return base64.b64decode(text, validate=True)


class Node:
    """A node as a child process, on a free port, in a fresh directory."""

    def __init__(self, binary, directory, more=()):
        self.data = pathlib.Path(directory) / "node"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ARTEL_")}
        self.process = subprocess.Popen(
            [binary, "up", "--data", str(self.data), "--http", "127.0.0.1:0", "--json", *more],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)
        if not select.select([self.process.stdout], [], [], DEADLINE)[0]:
            raise SystemExit("the node did not become ready")
        self.ready = json.loads(self.process.stdout.readline())
        self.url = self.ready["http_url"]
        self.operator = pathlib.Path(self.ready["operator_token_file"]).read_text().strip()

    def call(self, path, body=None, token=None):
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers)
        with urllib.request.urlopen(request, timeout=DEADLINE) as response:
            return response.read()

    def json(self, path, body=None, token=None):
        return json.loads(self.call(path, body, token))

    def stop(self):
        self.process.terminate()
        try:
            assert self.process.wait(DEADLINE) == 0, "the node did not stop well"
        finally:
            self.process.kill()


def enroll(node, key, name, delegate=False):
    """`cryptography` made the key; it signs exactly the challenge's bytes."""
    did = did_of(key.public_key())
    asked = node.json("/v1/enroll", {
        "agent_name": name, "public_key": did, "metadata": {"capabilities": ["text"]}, "delegate": delegate})
    challenge = asked["challenge"]
    lines = challenge.split("\n")
    assert lines[0] == "artel enrollment" and lines[-1] == "", challenge
    assert f"agent: {did}" in lines and f"federation: {node.ready['federation_id']}" in lines, challenge
    node_did = did_of(key_of_peer(node.ready["peer_id"]))
    assert f"node: {node_did}" in lines, challenge
    signature = base64.urlsafe_b64encode(key.sign(challenge.encode())).decode().rstrip("=")
    answer = node.json(f"/v1/enroll/{asked['enrollment_id']}/respond", {"signature": signature})
    assert answer["token_type"] == "Bearer" and answer["agent"]["agent_id"] == did
    return did, answer["token"]


def check_token(node, did, token):
    """PyJWT verifies the token with the key from the JWKS, and no other audience or issuer."""
    keys = jwt.PyJWKSet.from_dict(node.json("/.well-known/jwks.json"))
    key = keys[jwt.get_unverified_header(token)["kid"]].key
    issuer = did_of(key_of_peer(node.ready["peer_id"]))
    federation = node.ready["federation_id"]

    def verify(audience=federation, by=issuer, algorithm="EdDSA"):
        wanted = {"require": ["exp", "iat", "iss", "sub", "aud"]}
        return jwt.decode(token, key, algorithms=[algorithm], audience=audience, issuer=by, options=wanted)

    claims = verify()
    assert claims["sub"] == did
    assert 0 < claims["exp"] - claims["iat"] <= 90 * 24 * 3600
    assert refused(lambda: verify(audience="0" * 64), jwt.InvalidAudienceError)
    assert refused(lambda: verify(by=did), jwt.InvalidIssuerError)
    node_key = key_of_peer(node.ready["peer_id"])
    assert raw_public(key) != raw_public(node_key), "tokens are not signed by node.key"


def raw_digest(text):
    return bytes.fromhex(text.removeprefix("sha256:"))


def result(opening):
    """What a submission commits to."""
    salt, output = b64(opening["salt"]), raw_digest(opening["output_digest"])
    artifacts = [raw_digest(artifact) for artifact in opening["artifacts"]]
    assert len(salt) == 16
    listed = len(artifacts).to_bytes(8, "little") + b"".join(artifacts)
    return hashlib.sha256(b"artel/1/result\0" + salt + output + listed).digest()


def check_terms(task, given):
    """The holder opens what the task's offers commit home to, from its answer and its own copy of the input."""
    text = lambda value: len(value.encode()).to_bytes(8, "little") + value.encode()
    number = lambda value, size: value.to_bytes(size, "little")
    asked = task["requirements"]
    assert (asked["capabilities"], asked["level"], task["complexity"]) == (["text"], None, "simple"), task
    deadline = datetime.datetime.fromisoformat(task["deadline"].replace("Z", "+00:00")).timestamp()

    def commitment(reward):
        encoded = b"".join([
            text(task["title"]), text(task["description"]),
            number(1, 8), text("text"), number(0, 4), b"\0", number(0, 4),
            number(round(reward * 1_000_000), 8), number(round(deadline * 1000), 8),
            text(given), b"\0", bytes([task["poster_may_claim"]]),
        ])
        salt = b64(task["terms"]["salt"])
        assert len(salt) == 16
        step = uuid.UUID(task["task_id"]).bytes
        return hashlib.sha256(b"artel/1/terms\0" + salt + step + encoded).digest()

    assert commitment(task["reward"]) == raw_digest(task["terms"]["digest"]), "other terms than were offered"
    assert commitment(task["reward"] + 1) != raw_digest(task["terms"]["digest"])


def check_acknowledgement(node, said):
    """The node's own signature over what it took in, from the fields of the answer alone: the commitment opens with the
    agent's own result, and the signature is over the commitment."""
    assert said["output_digest"] == "sha256:" + hashlib.sha256(OUTPUT.encode()).hexdigest()
    assert raw_digest(said["result"]) == result(said), "it acknowledges another result"
    assert raw_digest(said["result"]) != result({**said, "salt": base64.b64encode(bytes(16)).decode()})
    moment = datetime.datetime.fromisoformat(said["submitted_at"].replace("Z", "+00:00"))
    payload = b"".join([
        uuid.UUID(said["task_id"]).bytes,
        said["epoch"].to_bytes(4, "little"),
        b"\1" + from_base58(said["agent_id"].removeprefix("did:key:z"))[2:],
        raw_digest(said["result"]),
        said["entry"].to_bytes(8, "little"),
        (round(moment.timestamp() * 1000)).to_bytes(8, "little"),
    ])
    assert len(payload) == 101
    signed = b"artel/1/acknowledgement\0" + bytes.fromhex(node.ready["federation_id"]) + payload
    signature = base64.urlsafe_b64decode(said["signature"] + "==")
    key = key_of_peer(node.ready["peer_id"])
    key.verify(signature, signed)
    assert refused(lambda: key.verify(signature, signed[:-1] + b"\xff"), InvalidSignature)


def do_work(node, token, count):
    """Posts tasks as the operator and does them as the agent."""
    done = []
    for number in range(count):
        posted = node.json("/v1/tasks", {
            "title": f"strange {number}", "requirements": {"capabilities": ["text"]}, "reward": 1,
            "input": {"text": "one two three"}}, node.operator)
        lease = node.json(f"/v1/tasks/{posted['task_id']}/claim", {}, token)
        if number == 0:
            held = node.json(f"/v1/tasks/{posted['task_id']}", token=token)
            check_terms(held, '{"text": "one two three"}')
            offers = node.json("/v1/events?limit=200", token=token)["items"]
            offer = next(e for e in offers if e["data"].get("terms") and e["data"]["task_id"] == posted["task_id"])
            assert offer["data"]["terms"] == held["terms"]["digest"], "other terms than were announced"
        answer = node.json(f"/v1/tasks/{posted['task_id']}/submit", {
            "epoch": lease["epoch"], "output": json.loads(OUTPUT)}, token)
        assert answer["receipt"]["accepted"] is True, answer
        check_acknowledgement(node, answer["acknowledgement"])
        done.append((posted["task_id"], answer["acknowledgement"]["entry"]))
    return done


def check_checkpoint(text, node):
    """A checkpoint verifies with bare Ed25519 and the key in its own first line. Answers with size and root."""
    body, _, signatures = text.rpartition("\n\n")
    body += "\n"
    origin, size, root = body.split("\n")[:3]
    name, federation, peer_id, incarnation = origin.split("/")
    assert (name, federation, peer_id) == ("artel", node.ready["federation_id"], node.ready["peer_id"]), origin
    assert incarnation == str(int(incarnation)) and size == str(int(size))
    key = key_of_peer(peer_id)
    key_id = hashlib.sha256(origin.encode() + b"\n\x01" + raw_public(key)).digest()[:4]
    lines = [line for line in signatures.splitlines() if line.startswith(f"\u2014 {origin} ")]
    assert len(lines) == 1, signatures
    signed = b64(lines[0].split(" ")[2])
    assert signed[:4] == key_id and len(signed) == 68
    key.verify(signed[4:], body.encode())
    assert refused(lambda: key.verify(signed[4:], body.encode() + b" "), InvalidSignature)
    return int(size), b64(root)


def checkpoint_past(node, entry):
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        size, root = check_checkpoint(node.call("/log/checkpoint").decode(), node)
        if size > entry:
            return size, root
        time.sleep(0.05)
    raise SystemExit(f"no checkpoint past entry {entry}")


def tile_path(index, width):
    """Three digits an element, all but the last behind an x (C2SP tlog-tiles)."""
    elements = [f"{index % 1000:03}"]
    while index >= 1000:
        index //= 1000
        elements.insert(0, f"x{index % 1000:03}")
    return "/".join(elements) + (f".p/{width}" if width < 256 else "")


def read_leaves(node, size):
    """All leaves, from the entry bundles."""
    leaves = []
    for index in range((size + 255) // 256):
        width = min(256, size - 256 * index)
        bundle, at = node.call(f"/log/tile/entries/{tile_path(index, width)}"), 0
        for _ in range(width):
            length = int.from_bytes(bundle[at:at + 2], "big")
            leaves.append(bundle[at + 2:at + 2 + length])
            at += 2 + length
        assert at == len(bundle), "bytes behind the last entry"
    return leaves


def check_leaves(leaves):
    """Leaves are of the form that PROTOCOL.md fixes; public entries are numbered without a gap."""
    public = 0
    for leaf in leaves:
        assert len(leaf) == 42 and leaf[0] == 1 and leaf[1] in (0, 1), leaf.hex()
        assert int.from_bytes(leaf[2:10], "big") == public, "a public entry was left out"
        public += leaf[1]


def check_root(leaves, root):
    """`pymerkle` comes to the same root from the leaves, and to another from other leaves."""
    def root_of(entries):
        tree = pymerkle.InmemoryTree(algorithm="sha256")
        for entry in entries:
            tree.append_entry(entry)
        return tree.get_root()

    assert root_of(leaves) == root, "pymerkle comes to another root"
    changed = leaves[:-1] + [leaves[-1][:-1] + bytes([leaves[-1][-1] ^ 1])]
    assert root_of(changed) != root


def inclusion_root(leaf, index, size, hashes):
    """RFC 9162, section 2.1.3.2."""
    fn, sn, result = index, size - 1, hashlib.sha256(b"\0" + leaf).digest()
    for sibling in hashes:
        assert sn > 0, "a proof that is too long"
        if fn & 1 or fn == sn:
            result = hashlib.sha256(b"\1" + sibling + result).digest()
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            result = hashlib.sha256(b"\1" + result + sibling).digest()
        fn, sn = fn >> 1, sn >> 1
    assert sn == 0, "a proof that is too short"
    return result


def check_receipt(node, leaves, task, entry):
    """A receipt is two records whose bodies open their leaves and whose leaves stand in the log."""
    receipt = node.json(f"/v1/tasks/{task}/receipt", token=node.operator)
    assert receipt["submitted"]["entry"] == entry
    opening, public = receipt["opening"], b64(receipt["submitted"]["body"])
    assert opening["output_digest"] == "sha256:" + hashlib.sha256(OUTPUT.encode()).hexdigest()
    assert result(opening) in public, "the record commits to another result"
    assert raw_digest(opening["output_digest"]) not in public, "a stranger could try out guesses of the output"
    for record in (receipt["submitted"], receipt["verdict"]):
        leaf, body, salt = b64(record["leaf"]), b64(record["body"]), b64(record["salt"])
        assert leaf[1] == 1 and leaf[10:] == hashlib.sha256(salt + body).digest()
        assert record["entry"] >= len(leaves) or leaves[record["entry"]] == leaf
        head, _, note = record["proof"].partition("\n\n")
        lines = head.split("\n")
        assert lines[0] == "c2sp.org/tlog-proof@v1", lines[0]
        rest = [line for line in lines[1:] if not line.startswith("extra ")]
        assert rest[0] == f"index {record['entry']}"
        size, root = check_checkpoint(note, node)
        hashes = [b64(line) for line in rest[1:]]
        assert inclusion_root(leaf, record["entry"], size, hashes) == root
        if hashes:
            assert inclusion_root(leaf, record["entry"], size, hashes[:-1] + [bytes(32)]) != root


def openssl(*arguments):
    return subprocess.run(
        ["openssl", *arguments], check=True, capture_output=True, timeout=DEADLINE).stdout


def check_openssl(node, directory, binary):
    """OpenSSL and `cryptography` read node.key as the node's own key; ours reads OpenSSL's."""
    path = node.data / "node.key"
    der = openssl("pkey", "-in", str(path), "-pubout", "-outform", "DER")
    assert der[-32:] == raw_public(key_of_peer(node.ready["peer_id"])), "OpenSSL reads another key"
    ours = load_pem_private_key(path.read_bytes(), None)
    assert raw_public(ours.public_key()) == der[-32:]
    again = ours.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    assert again == path.read_bytes(), "cryptography writes the same file"
    made = pathlib.Path(directory) / "openssl.pem"
    openssl("genpkey", "-algorithm", "ed25519", "-out", str(made))
    made.chmod(0o600)
    shown = json.loads(subprocess.run(
        [binary, "key", "show", str(made), "--json"], check=True, capture_output=True, timeout=DEADLINE).stdout)
    theirs = load_pem_private_key(made.read_bytes(), None)
    assert shown["did"] == did_of(theirs.public_key()), shown


def check_example(node, directory):
    """The example agent, which has no library of ours, does a task."""
    posted = node.json("/v1/tasks", {
        "title": "count words", "requirements": {"capabilities": ["text"]}, "reward": 1,
        "input": {"text": "a b c d"}}, node.operator)
    key = pathlib.Path(directory) / "example.pem"
    subprocess.run(
        [sys.executable, str(ROOT / "node/examples/agent.py"), node.url, str(key), "--once"],
        check=True, capture_output=True, timeout=DEADLINE)
    task = node.json(f"/v1/tasks/{posted['task_id']}", token=node.operator)
    assert (task["status"], task["output"]) == ("accepted", {"words": 4}), task


def say(line):
    print(f"strangers: {line}", flush=True)


def main():
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    binary = os.path.abspath(sys.argv[1])
    if not shutil.which("openssl"):
        raise SystemExit("openssl is not installed")
    with tempfile.TemporaryDirectory() as directory:
        node = Node(binary, directory)
        try:
            key = Ed25519PrivateKey.generate()
            did, token = enroll(node, key, "stranger")
            say("cryptography made a key, signed the challenge and was enrolled")
            check_token(node, did, token)
            say("PyJWT verified the token from the JWKS, and refused another audience and issuer")
            done = do_work(node, token, 40)
            size, root = checkpoint_past(node, done[-1][1])
            say(f"bare Ed25519 verified the checkpoint of {size} entries")
            leaves = read_leaves(node, size)
            check_leaves(leaves)
            check_root(leaves, root)
            say(f"pymerkle came to the signed root from {len(leaves)} entries")
            for task, entry in done[::13]:
                check_receipt(node, leaves, task, entry)
            say("acknowledgements and receipts verified with SHA-256 and Ed25519 alone")
            check_openssl(node, directory, binary)
            say("openssl and cryptography read node.key, and the other way round")
            check_example(node, directory)
            say("the example agent did a task")
        finally:
            node.stop()
    say("everybody agrees")


if __name__ == "__main__":
    main()
