"""A peer on py-libp2p. The suite's driver (../run.py) tells it what to do, one JSON object a line on stdin, and reads the
answers on stdout in the same form. It says hello, gossips and judges as PROTOCOL.md asks of everybody.
"""
import json
import os
import secrets
import sys
import uuid

import artel
import multiaddr
import trio
from libp2p import new_host
from libp2p.abc import INotifee
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.host.ping import PingService
from libp2p.identity.identify.identify import ID as IDENTIFY
from libp2p.identity.identify.identify import parse_identify_response
from libp2p.io.utils import read_exactly
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11, PROTOCOL_ID_V12, GossipSub
from libp2p.pubsub.mcache import CacheEntry, MessageCache
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.pubsub import Pubsub
from libp2p.tools.anyio_service import background_trio_service

# How long anything may take; nobody waits it out unless something is broken.
DEADLINE = 20
PROTOCOL = "/artel/1/hello"


def id_of(message):
    return artel.message_id(message.topicIDs[0], message.data)


# ---- Gossip without author: what py-libp2p 0.8.1 lacks (see ../README.md)


class Anonymous(Pubsub):
    """StrictNoSign, which `strict_signing=False` is not: that one neither leaves the author out nor refuses one."""

    async def publish(self, topic_id, data):
        await self.push_msg(self.my_id, rpc_pb2.Message(data=data, topicIDs=[topic_id]))

    async def push_msg(self, msg_forwarder, msg):
        named = any(msg.HasField(field) for field in ("from_id", "seqno", "signature", "key"))
        if not named and len(msg.topicIDs) == 1:
            await super().push_msg(msg_forwarder, msg)


class AnonymousCache(MessageCache):
    """Messages by their ids: the library's has them by author and number, so here all would be one."""

    def put(self, msg):
        if id_of(msg) not in self.msgs:
            self.msgs[id_of(msg)] = msg
            self.history[0].append(CacheEntry(id_of(msg), msg.topicIDs))


class AnonymousGossipSub(GossipSub):
    """gossipsub for messages without an author, which also announces what it has to all who are not in its mesh."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.mcache = AnonymousCache(self.mcache.window_size, self.mcache.history_size)

    def _check_equivocation(self, msg):
        # The library takes the second message without an author for equivocation, and would never pass it on.
        return True

    def gossip_heartbeat(self):
        # The library announces nothing (IHAVE) to whom it may not ask into its mesh yet; gossipsub says nothing of the kind.
        kept, self.back_off = self.back_off, {}
        try:
            return super().gossip_heartbeat()
        finally:
            self.back_off = kept


# ---- The peer


class Greeting:
    """What each side said to the other's hello, on one connection."""

    def __init__(self):
        self.ours = self.theirs = self.said = self.error = None


class Peer(INotifee):
    def __init__(self, nursery):
        self.nursery = nursery
        seed = secrets.token_bytes(32)
        self.me = artel.Signer(seed)
        self.host = new_host(key_pair=create_new_key_pair(seed))
        self.router = AnonymousGossipSub(
            [PROTOCOL_ID_V12, PROTOCOL_ID_V11], 6, 4, 9, heartbeat_interval=1, max_messages_per_topic_per_second=256)
        self.pubsub = Anonymous(self.host, self.router, strict_signing=False, msg_id_constructor=id_of)
        # What an invitation taught: federation, genesis record.
        self.home = None
        # The records that prove this peer's membership.
        self.chain = []
        # A secret to show, and to whom.
        self.asking = None
        # By peer: of its newest connection.
        self.greetings = {}
        # Gossip that came, in order: id, topic, from whom, data.
        self.heard = []
        self.host.set_stream_handler(PROTOCOL, self.hear_hello)
        self.host.get_network().register_notifee(self)

    def name(self):
        return self.host.get_id().to_string()

    def listens(self):
        return [str(address) for address in self.host.get_transport_addrs()]

    def connections(self, peer):
        return self.host.get_network().get_connections(ID.from_string(peer))

    async def until(self, look, what, wait=DEADLINE):
        """Waits until `look` finds something; much of what is waited for tells nobody when it changes."""
        with trio.move_on_after(wait):
            while True:
                found = look()
                if found:
                    return found
                await trio.sleep(0.02)
        raise TimeoutError(f"not within {wait} s: {what() if callable(what) else what}")

    # Hello, both ways on every connection ("The mesh")

    async def connected(self, network, conn):
        peer = conn.muxed_conn.peer_id.to_string()
        greeting = self.greetings[peer] = Greeting()
        self.nursery.start_soon(self.say_hello, peer, greeting, conn)

    async def disconnected(self, network, conn):
        pass

    async def opened_stream(self, network, stream):
        pass

    async def closed_stream(self, network, stream):
        pass

    async def listen(self, network, multiaddr):
        pass

    async def listen_close(self, network, multiaddr):
        pass

    async def say_hello(self, peer, greeting, conn):
        try:
            await conn.event_started.wait()
            secret = self.asking[1] if self.asking and self.asking[0] == peer else None
            said = artel.hello(self.me, self.home.federation, self.listens(), self.chain, secret)
            stream = await self.host.new_stream(ID.from_string(peer), [PROTOCOL])
            await stream.write(artel.u32(len(said)) + said)
            first = artel.Reader(await read_exactly(stream, 1)).bool()
            accept, code, admission = artel.parse_welcome(await self.read_part(stream))
            artel.need(accept == first, "the welcome and its first byte differ")
            if admission:
                artel.check_chain(admission, self.home, self.me.public_key)
                self.chain = admission
            greeting.ours = (accept, code)
            await stream.close()
        except Exception as error:
            greeting.error = error

    async def hear_hello(self, stream):
        peer = stream.muxed_conn.peer_id
        await self.until(lambda: peer.to_string() in self.greetings, "the connection of a hello")
        greeting = self.greetings[peer.to_string()]
        try:
            data = await self.read_part(stream)
            # An identity multihash of a key in libp2p's form: the key is its last 32 bytes.
            key = peer.to_bytes()[-32:]
            try:
                artel.need(artel.peer_id(key) == peer.to_string(), "a peer id of another form")
                greeting.said = artel.check_hello(data, self.home, key)
                accept, answer = True, artel.welcome()
            except (artel.Unwelcome, artel.Malformed) as error:
                accept, answer = False, artel.welcome(str(error), "this hello is not one of a member")
            greeting.theirs = accept
            await stream.write(artel.u8(accept) + artel.u32(len(answer)) + answer)
            await stream.close()
        except Exception as error:
            greeting.error = error

    @staticmethod
    async def read_part(stream):
        length = artel.Reader(await read_exactly(stream, 4)).u32()
        artel.need(length <= 73_728, "more bytes than a hello may have")
        return await read_exactly(stream, length) if length else b""

    # Gossip

    def verdict(self, forwarder, message):
        """Before a message is passed on: records are checked, other kinds passed on unread."""
        try:
            if artel.parse_frame(message.data)[0] == artel.RECORDS:
                artel.check_records(message.data, self.home.federation)
        except artel.Malformed:
            return False
        if forwarder != self.host.get_id():
            self.heard.append((self.pubsub.get_message_id(message), message.topicIDs[0], forwarder.to_string(), message.data))
        return True

    async def drain(self, subscription):
        """The library fills a channel for each subscription; what is heard is taken at its verdict already."""
        while True:
            await subscription.get()

    # What the driver asks for

    async def meet(self, invitation):
        """Learns of a federation from an invitation, and listens to its gossip."""
        learned = artel.parse_invitation(invitation)
        if self.home is None:
            self.home = learned
            for rest in artel.TOPICS:
                topic = artel.topic_name(learned.federation, rest)
                self.pubsub.set_topic_validator(topic, self.verdict, False)
                self.nursery.start_soon(self.drain, await self.pubsub.subscribe(topic))
        return learned

    async def judge(self, federation, frames):
        """Which of these frames hold as records of a federation."""

        def holds(frame):
            try:
                return artel.check_records(bytes.fromhex(frame), bytes.fromhex(federation)) is not None
            except artel.Malformed:
                return False

        return {"hold": [holds(frame) for frame in frames]}

    async def dial(self, address=None, invitation=None, secret=True):
        """Dials an address and waits until both hellos were answered; with an invitation its secret is shown."""
        if invitation:
            learned = await self.meet(invitation)
            issuer = artel.peer_id(learned.issuer)
            self.asking = (issuer, learned.secret) if secret else None
            address = f"{learned.addresses[0]}/p2p/{issuer}"
        info = info_from_p2p_addr(multiaddr.Multiaddr(address))
        peer = info.peer_id.to_string()
        self.greetings.pop(peer, None)
        await self.host.connect(info)

        def both():
            greeting = self.greetings.get(peer)
            if greeting and greeting.error:
                raise greeting.error
            return greeting if greeting and greeting.ours and greeting.theirs is not None else None

        greeting = await self.until(both, "both hellos answered")
        accepted, code = greeting.ours
        return {
            "peer": peer, "accepted": accepted, "code": code, "accepts": greeting.theirs, "chain": len(self.chain),
            "their_chain": len(greeting.said.chain) if greeting.said else None,
        }

    async def closed(self, peer):
        """Waits until a peer has closed all connections."""
        await self.until(lambda: not self.connections(peer), f"no connection with {peer}")
        return {}

    async def identity(self, peer):
        stream = await self.host.new_stream(ID.from_string(peer), [IDENTIFY])
        data = b""
        while more := await self.read_some(stream):
            data += more
        await stream.close()
        said = parse_identify_response(data)
        return {
            "agent_version": said.agent_version, "protocol_version": said.protocol_version,
            "protocols": list(said.protocols), "listen_addrs": [str(multiaddr.Multiaddr(a)) for a in said.listen_addrs],
        }

    @staticmethod
    async def read_some(stream):
        try:
            return await stream.read(4096)
        except Exception as error:
            if type(error).__name__ == "StreamEOF":
                return b""
            raise

    async def ping(self, peer):
        return {"ms": (await PingService(self.host).ping(ID.from_string(peer)))[0]}

    async def meshed(self, topic, peers):
        """Waits until peers are in this one's gossip mesh of a topic."""
        name = artel.topic_name(self.home.federation, topic)
        wanted = {ID.from_string(peer) for peer in peers}
        await self.until(
            lambda: wanted <= self.router.mesh.get(name, set()),
            lambda: f"{peers} in the mesh of {topic}, it is {self.router.mesh.get(name)}")
        return {}

    async def offer(self, step):
        """Waits for the offer of a step, verifies it, and sees each of its bytes matter."""
        wanted = uuid.UUID(step).bytes

        def offered():
            for message in self.heard:
                data = message[3]
                if artel.parse_frame(data)[0] != artel.RECORDS:
                    continue
                checkpoint, records = artel.check_records(data, self.home.federation)
                for record in records:
                    kind, fields = artel.decode_entry(record.body)
                    if kind == 48 and fields["step"] == wanted:
                        return message, checkpoint, record, fields
            return None

        (name, topic, source, data), checkpoint, record, fields = await self.until(offered, f"the offer of step {step}")
        unseen = 0
        for at in range(len(data)):
            wrong = bytearray(data)
            wrong[at] ^= 1
            try:
                artel.check_records(bytes(wrong), self.home.federation)
                unseen += 1
            except artel.Malformed:
                pass
        shard = artel.topic_name(self.home.federation, artel.offer_topic(fields["skills"]))
        said = ("epoch", "skills", "complexity", "level", "reward", "deadline")
        return {
            "id": name.hex(), "from": source, "topic": topic, "shard_topic": shard, "bytes": len(data),
            "changed_bytes_unseen": unseen, "author": artel.peer_id(checkpoint.node), "index": record.index,
            "size": checkpoint.size, "terms": fields["terms"].hex(), **{field: fields[field] for field in said},
        }

    async def publish(self, what, topic="agents"):
        """Publishes the one entry of this peer's own journal, or on a topic a frame of a kind that nobody knows."""
        if what == "joined":
            body = artel.joined(self.home.genesis, artel.sha256(secrets.token_bytes(32)))
            data = artel.journal_of_one(self.me, self.home.federation, secrets.token_bytes(16), body)
        else:
            data = artel.frame(0x7A7A, 9, secrets.token_bytes(40))
        name = artel.topic_name(self.home.federation, topic)
        await self.pubsub.publish(name, data)
        return {"id": artel.message_id(name, data).hex()}

    async def message(self, id, within_ms=None):
        """Waits for a message by its id, and says nothing of it where it did not come in time."""
        found = lambda: next((m for m in self.heard if m[0].hex() == id), None)
        try:
            _, topic, source, data = await self.until(found, f"the message {id}", (within_ms or 1000 * DEADLINE) / 1000)
        except TimeoutError:
            if within_ms is None:
                raise
            return {}
        return {"topic": topic, "from": source, "kind": artel.parse_frame(data)[0]}


def say(answer):
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


async def orders():
    """The lines of stdin."""
    stdin, rest = trio.lowlevel.FdStream(os.dup(0)), b""
    async for more in stdin:
        rest += more
        while b"\n" in rest:
            line, rest = rest.split(b"\n", 1)
            yield json.loads(line)


async def main():
    async with trio.open_nursery() as nursery:
        peer = Peer(nursery)
        async with (
            peer.host.run(listen_addrs=[multiaddr.Multiaddr("/ip4/127.0.0.1/tcp/0")]),
            background_trio_service(peer.pubsub),
            background_trio_service(peer.router),
        ):
            await peer.pubsub.wait_until_ready()
            say({"peer": peer.name(), "listens": peer.listens()})
            async for order in orders():
                try:
                    say(await getattr(peer, order.pop("do"))(**order))
                except Exception as error:
                    say({"error": f"{type(error).__name__}: {error}"})
            nursery.cancel_scope.cancel()
    # The library's log thread may hold the process.
    os._exit(0)


trio.run(main)
