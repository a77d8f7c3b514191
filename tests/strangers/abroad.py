#!/usr/bin/env python3
"""Agents in Python at one node do what another node offers: one that delegated to its node, one that signs each act itself.

    python3 tests/strangers/abroad.py PATH-TO-ARTEL

Needs the packages of requirements.txt. Ends 0 when both were paid and the receipts say on whose authority they worked.
"""
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import run

EXAMPLES = run.ROOT / "node" / "examples"


def wait(what, holds):
    end = time.monotonic() + run.DEADLINE
    while time.monotonic() < end:
        found = holds()
        if found:
            return found
        time.sleep(0.02)
    raise SystemExit(f"{what} did not come within {run.DEADLINE} s")


def posted(home, number):
    task = {"title": f"count {number}", "requirements": {"capabilities": ["text"]}, "reward": 1,
            "input": {"text": "one two three"}}
    return home.json("/v1/tasks", task, home.operator)["task_id"]


def works(home, away, example, directory):
    """Runs an example once at the other node; answers with what home says of the task."""
    task = posted(home, example)
    heard = lambda: [o for o in away.json("/v1/offers", token=away.operator)["items"] if o["task_id"] == task]
    wait("the offer", heard)
    key = str(pathlib.Path(directory) / f"{example}.pem")
    done = subprocess.run([sys.executable, str(EXAMPLES / example), away.url, key, "--once"],
                          capture_output=True, text=True, timeout=run.DEADLINE)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["task_id"] == task and said["receipt"]["accepted"] is True, said
    known = home.json(f"/v1/tasks/{task}", token=home.operator)
    assert known["status"] == "accepted" and known["output"] == {"words": 3}, known
    receipt = home.json(f"/v1/tasks/{task}/receipt", token=home.operator)
    return receipt["submitted"]["fact"]


def main():
    binary = sys.argv[1]
    with tempfile.TemporaryDirectory() as directory:
        folder = pathlib.Path(directory)
        listen = ["--listen", "/ip4/127.0.0.1/tcp/0"]
        home = run.Node(binary, folder / "home", listen)
        try:
            invitation = home.json("/v1/invitations", {"uses": 1}, home.operator)["invitation"]
            away = run.Node(binary, folder / "away", [*listen, "--join", invitation])
            try:
                met = lambda: [p for p in away.json("/v1/peers", token=away.operator)["items"] if p["status"] == "admitted"]
                wait("the meeting", met)
                for example, authority in [("agent.py", "delegated"), ("own_hand.py", "own")]:
                    fact = works(home, away, example, directory)
                    assert fact["authority"] == authority, fact
                    entry = away.json(f"/v1/audit/entries/{fact['handed_in']['entry']}", token=away.operator)
                    assert entry["kind"] == "HandedIn" and entry["fact"]["result"] == fact["result"], entry
                    print(f"{example}: accepted at another home, {authority}, recorded by both nodes")
            finally:
                away.stop()
        finally:
            home.stop()


if __name__ == "__main__":
    main()
