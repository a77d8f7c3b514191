#!/usr/bin/env python3
"""An Artel agent that lets no node act for it: it signs each act at another home itself. Needs only `cryptography`.

    python3 own_hand.py http://127.0.0.1:7435 [agent.pem] [--once]

Its node, which it does not have to trust with more than carrying, tells it what other homes offer.
"""
import base64, datetime, hashlib, json, sys, time, urllib.request
import agent


def get(url, token):
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.loads(response.read())


def signed(key, federation, home, act, **lines):
    """The statement of one act, and the agent's signature over exactly its bytes."""
    at = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    said = {"act": act, "federation": federation, "node": home, "agent": agent.did_of(key), **lines, "at": at}
    text = "artel statement\n" + "".join(f"{name}: {value}\n" for name, value in said.items())
    encode = lambda raw: base64.urlsafe_b64encode(raw).decode().rstrip("=")
    return {"statement": encode(text.encode()), "signature": encode(key.sign(text.encode()))}


def do(node, key, token, federation, offer):
    """Claims what a home offers, does it, hands it in; whether it could."""
    home, task = offer["home"], offer["task_id"]
    skills = "text"  # what it enrolled with, sorted, a comma between
    claim = {"home": home, "signed": signed(key, federation, home, "claim", task=task, capabilities=skills)}
    try:
        lease = agent.post(f"{node}/v1/tasks/{task}/claim", claim, token)
    except agent.Refused as refused:
        print(f"not this one: {refused}", file=sys.stderr)  # somebody was faster, or it does not qualify
        return False
    # The node hands the output on as these very bytes, and its digest is what the agent signs.
    output = json.dumps(agent.work(lease))
    digest = "sha256:" + hashlib.sha256(output.encode()).hexdigest()
    epoch = lease["epoch"]
    hand = signed(key, federation, home, "submit", task=task, epoch=epoch, output=digest, artifacts="")
    result = {"epoch": epoch, "output": json.loads(output), "signed": hand}
    answer = agent.post(f"{node}/v1/tasks/{task}/submit", result, token)
    print(json.dumps({"task_id": task, "home": home, "receipt": answer.get("receipt")}), flush=True)
    return True


def main():
    words = [word for word in sys.argv[1:] if word != "--once"]
    if not words:
        raise SystemExit(__doc__)
    node, once = words[0].rstrip("/"), "--once" in sys.argv
    key = agent.load_key(words[1] if len(words) > 1 else "agent.pem")
    token = agent.enroll(node, key, delegate=False)
    federation = get(f"{node}/v1/auth/verify", token)["federation_id"]
    while True:
        for offer in get(f"{node}/v1/offers?capability=text", token)["items"]:
            if do(node, key, token, federation, offer) and once:
                return
        time.sleep(1)


if __name__ == "__main__":
    main()
