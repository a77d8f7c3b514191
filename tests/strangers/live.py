#!/usr/bin/env python3
"""An agent in Python over the WebSocket alone, by PyPI's `websockets`: a thousand tasks, while its connection is cut twenty times.

    python3 tests/strangers/live.py PATH-TO-ARTEL

Needs the packages of requirements.txt. Ends 0 when every task was done once, under its first lease, and paid.
"""
import contextlib
import itertools
import json
import os
import socket
import sys
import tempfile
import time

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from websockets.sync.client import connect

import run

TASKS = 1_000
CUTS = 20
# How many tasks the agent has in hand at a time.
SLOTS = 8
# How long a claim waits for a task: at the end there is none, and what was handed in with a claim is answered that late.
WAIT_MS = 500


class Socket:
    """One connection: calls go out with an id, what comes is taken in the order in which it comes."""

    def __init__(self, node, token, in_head):
        url = node.url.replace("http", "ws", 1) + "/v1/agent/connect"
        head = {"Authorization": f"Bearer {token}"} if in_head else {}
        self.ids = itertools.count()
        self.open = contextlib.ExitStack()
        self.wire = self.open.enter_context(
            connect(url, additional_headers=head, open_timeout=run.DEADLINE, max_size=None))
        if not in_head:
            # As a browser does, which cannot set the header.
            self.wire.send(json.dumps({"type": "authenticate", "token": token}))
        welcome = self.next()
        assert welcome["type"] == "welcome", welcome

    def call(self, kind, data=None, **more):
        number = next(self.ids)
        self.wire.send(json.dumps({"type": kind, "id": number, "data": data or {}, **more}))
        return number

    def next(self):
        return json.loads(self.wire.recv(run.DEADLINE))

    def cut(self):
        """As a network does it: no goodbye, and what is under way is lost, in both directions."""
        with contextlib.suppress(OSError):
            self.wire.socket.shutdown(socket.SHUT_RDWR)
            self.close()

    def close(self):
        self.open.close()


class Agent:
    """Has no memory beside its own; what an answer that was lost has told, it finds out by its notices."""

    def __init__(self, node, token):
        self.node, self.token = node, token
        # Results that are not acknowledged yet, by task.
        self.results = {}
        # Tasks that a notice said are the agent's and whose lease it does not have yet: the notice may be acknowledged by now.
        self.told = set()
        self.known, self.done = set(), set()
        self.connections, self.regained, self.cursor = 0, 0, None

    def start(self):
        self.wire = Socket(self.node, self.token, in_head=self.connections % 2 == 0)
        self.connections += 1
        self.asked = {}
        # Without a cursor: what was not acknowledged comes again.
        self.ask("subscribe", {"feed": "notices", "types": ["lease_granted"]})
        for task in self.results:
            self.submit(task)
        for task in self.told:
            self.ask("claim", {}, task_id=task)
        for _ in range(SLOTS - len(self.results)):
            self.claim_next()

    def ask(self, kind, data, **more):
        self.asked[self.wire.call(kind, data, **more)] = (kind, more.get("task_id"))

    def claim_next(self):
        self.ask("claim_next", {"wait_ms": WAIT_MS})

    def submit(self, task):
        epoch, output = self.results[task]
        self.ask("submit", {"epoch": epoch, "output": output, "claim_next": {"wait_ms": WAIT_MS}}, task_id=task)

    def hold(self, lease):
        task = lease["task_id"]
        if task in self.known:
            # Both its answer and its notice said so.
            return
        self.known.add(task)
        self.told.discard(task)
        self.results[task] = (lease["epoch"], {"double": 2 * lease["input"]["number"]})
        self.submit(task)

    def take(self, said):
        if said["type"] == "lease_granted":
            self.cursor = said["cursor"]
            task = said["data"]["task_id"]
            if task not in self.known:
                # Its answer is on the way, or was lost: whoever holds a task may claim it again.
                self.told.add(task)
                self.ask("claim", {}, task_id=task)
            return
        assert said["type"] == "answer", said
        kind, task = self.asked.pop(said["id"])
        if kind == "submit":
            assert said["status"] == 200, said
            self.results.pop(task, None)
            self.done.add(task)
            if "next" in said["data"]:
                self.hold(said["data"]["next"])
            else:
                self.claim_next()
        elif said["status"] == 200 and kind in ("claim", "claim_next"):
            self.regained += kind == "claim" and said["data"]["task_id"] not in self.known
            self.hold(said["data"])
        elif kind == "claim":
            # It was handed in since: the notice was of before.
            assert said["data"]["error"]["code"] in ("finished", "task_taken"), said
        elif kind == "claim_next":
            assert said["status"] in (204, 409, 503), said
            if said["status"] == 503:
                # What was cut while it waited for its next task waits for a moment yet.
                assert said["data"]["error"]["code"] == "too_many_waiting", said
                time.sleep(said["retry_after_s"] / 10)
            if said["status"] != 409:
                self.claim_next()
        else:
            assert said["status"] == 200, said

    def lose(self):
        """The connection is cut when two further tasks are won: neither these answers nor any before them are ever seen."""
        lost = {self.wire.call("claim_next") for _ in range(2)}
        while lost:
            lost.discard(self.wire.next().get("id"))
        self.wire.cut()

    def work(self, cuts):
        self.start()
        acknowledged = 0
        while len(self.done) < TASKS:
            self.take(self.wire.next())
            if self.cursor and len(self.done) >= acknowledged + 100:
                acknowledged = len(self.done)
                self.ask("acknowledge", {"up_to": self.cursor})
            if cuts and len(self.done) >= cuts[0]:
                cuts.pop(0)
                self.lose()
                self.start()
        self.wire.close()


def post(node):
    """The operator's tasks, all on one socket."""
    wire = Socket(node, node.operator, in_head=True)
    for number in range(TASKS):
        wire.call("post", {
            "title": f"number {number}", "requirements": {"capabilities": ["text"]}, "reward": 1,
            "input": {"number": number}})
    tasks = {}
    for _ in range(TASKS):
        said = wire.next()
        assert said["status"] == 201, said
        tasks[said["data"]["task_id"]] = said["data"]["input"]["number"]
    wire.close()
    return tasks


def check(node, tasks, token):
    """Each task was done once, under its first lease, by the right result, and paid."""
    wire = Socket(node, node.operator, in_head=True)
    asked, paid = {wire.call("show", task_id=task): task for task in tasks}, 0
    for _ in tasks:
        said = wire.next()
        task, shown = asked[said["id"]], said["data"]
        assert (shown["status"], shown["epoch"], shown["lapses"], shown["attempts"]) == ("accepted", 1, 0, 0), shown
        assert shown["output"] == {"double": 2 * tasks[task]}, shown
        assert len(shown["submissions"]) == 1 and shown["paid"] >= 1, shown
        paid += shown["paid"]
    wire.close()
    earned = node.json("/v1/agents/me/earnings", token=token)
    assert (earned["tasks_paid"], earned["total_earnings"]) == (TASKS, paid), earned


def main():
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    binary = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as directory:
        node = run.Node(binary, directory)
        try:
            _, token = run.enroll(node, Ed25519PrivateKey.generate(), "live")
            tasks = post(node)
            agent = Agent(node, token)
            begun = time.monotonic()
            agent.work([(cut + 1) * TASKS // (CUTS + 1) for cut in range(CUTS)])
            assert agent.done == set(tasks) and not agent.results
            assert agent.connections == CUTS + 1, agent.connections
            assert agent.regained > 0, "no lease was lost with its answer, so nothing was tried"
            check(node, tasks, token)
            run.say(f"websockets did {TASKS} tasks in {time.monotonic() - begun:.1f} s over {agent.connections} connections, "
                    f"{agent.regained} leases found again by their notices; none was lost or done twice")
        finally:
            node.stop()


if __name__ == "__main__":
    main()
