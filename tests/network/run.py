#!/usr/bin/env python3
"""Two nodes on two hosts whose network comes and goes: what loopback cannot show.

    python3 tests/network/run.py PATH-TO-ARTEL

The hosts are network namespaces with a cable between them. A node that starts without a network joins when there is one,
what was missed while the cable was out is fetched, and nodes that know no address of each other that holds find each other
by mDNS, and do not where that is switched off. One check a line; ends 1 at the first that fails. Needs root.
"""
import contextlib
import json
import os
import pathlib
import select
import signal
import subprocess
import sys
import tempfile
import time

# How long anything may take; nobody waits it out unless something is broken.
DEADLINE = 60
# For so long nodes must not find each other where nothing may tell them: several times what mDNS takes where it may.
SILENCE = 10
# What listens on the hosts' addresses, at a port of its own at each start.
LISTEN = "/ip4/0.0.0.0/tcp/0"


class Failure(Exception):
    pass


def check(what, holds, seen=""):
    if not holds:
        raise Failure(f"{what}: {seen}")
    print(f"ok  {what}", flush=True)


def until(what, look, deadline=DEADLINE):
    """Waits until `look` is content; returns how many seconds that took."""
    begun = time.monotonic()
    while not look():
        if time.monotonic() - begun > deadline:
            raise Failure(f"not within {deadline} s: {what}")
        time.sleep(0.05)
    return time.monotonic() - begun


class Host:
    """A network namespace with one end of the cable."""

    def __init__(self, name, address):
        self.name, self.address, self.cable = name, address, f"{name}c"

    def run(self, *command, **options):
        return subprocess.run(["ip", "netns", "exec", self.name, *map(str, command)],
                              check=True, capture_output=True, text=True, timeout=DEADLINE, **options).stdout

    def plug(self, state):
        self.run("ip", "link", "set", self.cable, state)


@contextlib.contextmanager
def hosts():
    """Two hosts, their cable not plugged in yet."""
    mark = f"artel{os.getpid() % 100000}"
    pair = Host(f"{mark}a", "10.77.0.1"), Host(f"{mark}b", "10.77.0.2")
    made = []
    try:
        for host in pair:
            subprocess.run(["ip", "netns", "add", host.name], check=True)
            made.append(host.name)
        a, b = pair
        subprocess.run(["ip", "link", "add", a.cable, "netns", a.name, "type", "veth",
                        "peer", "name", b.cable, "netns", b.name], check=True)
        for host in pair:
            host.run("ip", "addr", "add", f"{host.address}/24", "dev", host.cable)
            host.run("ip", "link", "set", "lo", "up")
        yield pair
    finally:
        for name in made:
            subprocess.run(["ip", "netns", "del", name], check=False)


class Node:
    """A node on a host; `mdns` as its configuration has it."""

    def __init__(self, binary, host, data, *more, mdns):
        self.binary, self.host, self.data = binary, host, data
        data.mkdir(exist_ok=True)
        (data / "config.toml").write_text(f"mdns = {str(mdns).lower()}\n")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ARTEL_")}
        command = ["ip", "netns", "exec", host.name, binary, "up", "--json", "--data", data,
                   "--http", "127.0.0.1:0", "--listen", LISTEN, *more]
        with open(data.with_suffix(".log"), "ab") as log:
            self.process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, stderr=log,
                                            env=environment, start_new_session=True)
        if not select.select([self.process.stdout], [], [], DEADLINE)[0]:
            raise Failure("a node is not ready in time")
        line = self.process.stdout.readline()
        if not line:
            raise Failure(data.with_suffix(".log").read_text(errors="replace")[-2000:])
        self.ready = json.loads(line)

    def artel(self, *command, **options):
        return json.loads(self.host.run(self.binary, *command, "--json", "--data", self.data, **options))

    def admitted(self):
        """The peers that are admitted, as `artel peers` shows them."""
        return [peer["peer_id"] for peer in self.artel("peers")["items"] if peer["status"] == "admitted"]

    def held(self, of):
        """How many records of another node's journal are kept here, as `artel peers --journals` shows it."""
        rows = [row for row in self.artel("peers", "--journals")["items"] if of.ready["peer_id"] in row["origin"]]
        return rows[0]["held_up_to"] if rows else 0

    def knows(self, other):
        return other.ready["peer_id"] in self.admitted()

    def stop(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(DEADLINE)


def post(node, count):
    for number in range(count):
        node.artel("task", "post", "--title", f"t{number}", "--capability", "nobody")


def scenario(binary, a, b, folder):
    with contextlib.ExitStack() as running:
        def start(host, data, *more, mdns=False):
            node = Node(binary, host, folder / data, *more, mdns=mdns)
            running.callback(node.stop)
            return node

        a.plug("up")
        first = start(a, "a")
        made = first.artel("invite")
        check("an invitation names the address of the host", any(a.address in at for at in made["addresses"]), made)

        second = start(b, "b", "--join", made["invitation"])
        check("a node starts without a network", second.admitted() == [])
        b.plug("up")
        took = until("it joins", lambda: second.knows(first) and first.knows(second))
        check(f"it joins when the network appears, {took:.1f} s later", True)

        until("it holds what there is", lambda: second.held(first) > 0)
        b.plug("down")
        before = second.held(first)
        post(first, 20)
        check("what is said while the cable is out does not arrive", second.held(first) == before)
        b.plug("up")
        took = until("it is fetched", lambda: second.held(first) >= before + 20)
        check(f"what was missed is fetched when the cable is back, {took:.1f} s later", True)

        for mdns in (False, True):
            for node in (first, second):
                node.stop()
            # Each forgets nothing, but listens elsewhere from now on: what it knows of the other's address is not so any more.
            first, second = start(a, "a", mdns=mdns), start(b, "b", mdns=mdns)
            if mdns:
                took = until("mDNS finds them", lambda: first.knows(second) and second.knows(first))
                check(f"by mDNS they find each other, {took:.1f} s later", True)
            else:
                end = time.monotonic() + SILENCE
                while time.monotonic() < end:
                    if first.admitted() or second.admitted():
                        raise Failure("nodes found each other at addresses that nobody told them")
                    time.sleep(0.5)
                check(f"without mDNS nodes that moved do not find each other within {SILENCE} s", True)


def main():
    binary = str(pathlib.Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory() as folder, hosts() as (a, b):
        try:
            scenario(binary, a, b, pathlib.Path(folder))
        except (Failure, subprocess.CalledProcessError) as failure:
            print(f"FAILED: {failure}{getattr(failure, 'stderr', '') or ''}", file=sys.stderr)
            for log in sorted(pathlib.Path(folder).glob("*.log")):
                print(f"--- {log.name}\n{log.read_text(errors='replace')[-3000:]}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
