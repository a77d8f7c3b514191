#!/usr/bin/env python3
"""An Artel agent in plain Python: a key, an enrollment, then work. Needs only the package `cryptography`.

    python3 agent.py http://127.0.0.1:7433 [agent.pem] [--once]

It counts the words of each task's input: {"text": "…"} in, {"words": 3} out. Change `work` to do something else. Its skill is `text`:
    artel task post --title "Count" --capability text --reward 1 --input '{"text":"one two three"}' --watch
"""
import base64, json, os, signal, sys, time, urllib.error, urllib.request
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding, NoEncryption, PrivateFormat, PublicFormat, load_pem_private_key)

WAIT_MS = 25_000  # how long a claim waits at the node: no polling


def work(step):
    """The agent's own craft: the step as a dict in, any JSON value out."""
    return {"words": len(str(step["input"].get("text", "")).split())}


def load_key(path):
    """Reads the key file (PKCS#8 PEM), or makes one that only its owner can read."""
    if not os.path.exists(path):
        pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(pem)
    with open(path, "rb") as file:
        return load_pem_private_key(file.read(), password=None)


def did_of(key):
    """did:key: base58btc of the bytes ed 01 and the public key."""
    raw = b"\xed\x01" + key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    number, text = int.from_bytes(raw, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"[digit] + text
    return "did:key:z" + text


class Refused(SystemExit):
    """The node's answer is no, and would be no again; whoever does not expect that ends with its words."""


def post(url, body, token=None):
    """Posts JSON; the answer as a dict, or None for 204. Goes on trying while the node is away or busy."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    while True:
        try:
            with urllib.request.urlopen(request, timeout=WAIT_MS / 1000 + 60) as response:
                return json.loads(response.read() or "null")
        except urllib.error.HTTPError as error:
            if error.code != 429 and error.code < 500:
                raise Refused(f"{url}: {error.code} {error.read().decode()}")
        except OSError as error:
            print(f"waiting for the node: {error}", file=sys.stderr)
        time.sleep(1)  # the same submission again gets the same answer, so trying again is safe


def enroll(node, key, delegate=True):
    """Asks for a challenge, reads it, signs exactly its bytes; gets a token. By delegating it lets the node take tasks of
    other homes in its name."""
    did = did_of(key)
    asked = post(f"{node}/v1/enroll", {"agent_name": "python-example", "public_key": did, "delegate": delegate,
                                       "metadata": {"capabilities": ["text"]}})
    challenge = asked["challenge"]
    if not challenge.startswith("artel enrollment\n") or f"agent: {did}\n" not in challenge \
            or ("delegates:" in challenge) > delegate:
        raise SystemExit("the node asks for a signature under something else; nothing was signed")
    signature = base64.urlsafe_b64encode(key.sign(challenge.encode())).decode().rstrip("=")
    return post(f"{node}/v1/enroll/{asked['enrollment_id']}/respond", {"signature": signature})["token"]


def main():
    words = [word for word in sys.argv[1:] if word != "--once"]
    if not words:
        raise SystemExit(__doc__)
    node, once = words[0].rstrip("/"), "--once" in sys.argv
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    key = load_key(words[1] if len(words) > 1 else "agent.pem")
    token, step = enroll(node, key), None
    print(f"{did_of(key)} waits for tasks", file=sys.stderr)
    while True:
        # The best task that this agent qualifies for; waits at the node until there is one.
        step = step or post(f"{node}/v1/tasks/claim", {"wait_ms": WAIT_MS}, token)
        if step is None:
            continue
        result = {"epoch": step["epoch"], "output": work(step), "claim_next": not once}  # the next task in the same answer
        answer = post(f"{node}/v1/tasks/{step['task_id']}/submit", result, token)
        print(json.dumps({"task_id": step["task_id"], "output": result["output"], "receipt": answer.get("receipt")}), flush=True)
        step = answer.get("next")
        if once:
            return


if __name__ == "__main__":
    main()
