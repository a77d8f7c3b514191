// A peer on js-libp2p. The suite's driver (../run.py) tells it what to do, one JSON object a line on stdin, and reads the
// answers on stdout in the same form. It says hello, gossips and judges as PROTOCOL.md asks of everybody. With the word
// `lazy` it is in nobody's gossip mesh, and hears what is announced to it by id (IHAVE) and asked for (IWANT) alone.
import { generateKeyPair } from '@libp2p/crypto/keys'
import { gossipsub, StrictNoSign } from '@libp2p/gossipsub'
import { identify } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { byteStream } from '@libp2p/utils'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import * as artel from './artel.mjs'

// How long anything may take; nobody waits it out unless something is broken.
const DEADLINE_MS = 20_000
const PROTOCOL = '/artel/1/hello'
const isLazy = process.argv[2] === 'lazy'

const privateKey = await generateKeyPair('Ed25519')
const me = artel.signer(Buffer.from(privateKey.raw.subarray(0, 32)))
/** What an invitation taught: federation, genesis record. */
let home = null
/** The records that prove this peer's membership. */
let chain = []
/** A secret to show, and to whom. */
let asking = null
/** By connection id: what each side said to the other's hello. */
const greetings = new Map()
/** By peer id: what identify said. */
const identified = new Map()
/** Gossip that came, in order: id, topic, from whom, data. */
const heard = []
/** Ids that were announced, and by whom. */
const announced = []
/** Meshes that a lazy peer would not be in: by whom it was asked, and of which topic. */
const refused = []
/** Told whenever anything above changes. */
const changed = new EventTarget()
const change = () => changed.dispatchEvent(new Event('change'))

/** Waits until `look` finds something; `what` is said where it does not in time. */
async function until (look, what, waitMs = DEADLINE_MS) {
  const signal = AbortSignal.timeout(waitMs)
  for (;;) {
    const found = look()
    if (found) return found
    // Some of what is waited for (the mesh) tells nobody when it changes.
    const nudge = setTimeout(change, 50)
    await once(changed, 'change', { signal }).catch(() => { throw new Error(`not within ${waitMs / 1000} s: ${typeof what === 'function' ? what() : what}`) })
    clearTimeout(nudge)
  }
}

// ---- Hello, both ways on every connection ("The mesh")

const u32 = (value) => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

async function readPart (bytes) {
  const length = Buffer.from((await bytes.read({ bytes: 4 })).subarray()).readUInt32LE()
  if (length > 73_728) throw new Error('more bytes than a hello may have')
  return length === 0 ? Buffer.alloc(0) : Buffer.from((await bytes.read({ bytes: length })).subarray())
}

async function sayHello (connection) {
  const greeting = greetings.get(connection.id)
  const stream = await connection.newStream(PROTOCOL)
  const bytes = byteStream(stream)
  const peer = connection.remotePeer.toString()
  const said = artel.hello(me, {
    federation: home.federation,
    addresses: libp2p.getMultiaddrs().map((address) => address.toString().replace(/\/p2p\/.*/, '')),
    chain,
    secret: asking?.peer === peer ? asking.secret : null
  })
  await bytes.write(Buffer.concat([u32(said.length), said]))
  const accept = Buffer.from((await bytes.read({ bytes: 1 })).subarray())[0]
  if (accept > 1) throw new Error('a welcome is 0 or 1')
  const welcome = artel.parseWelcome(await readPart(bytes))
  if (welcome.accept !== (accept === 1)) throw new Error('the welcome and its first byte differ')
  if (welcome.admission.length > 0) {
    artel.checkChain(welcome.admission, { ...home, node: me.publicKey })
    chain = welcome.admission
  }
  greeting.ours = welcome
  change()
  await stream.close()
}

async function hearHello (stream, connection) {
  const greeting = greetings.get(connection.id)
  const bytes = byteStream(stream)
  const data = await readPart(bytes)
  let welcome
  try {
    const peer = Buffer.from(connection.remotePeer.publicKey.raw)
    greeting.said = artel.checkHello(data, { ...home, peer })
    welcome = artel.welcome('', '')
  } catch (error) {
    welcome = artel.welcome(error.message, 'this hello is not one of a member')
  }
  greeting.theirs = welcome.accept
  await bytes.write(Buffer.concat([Buffer.from([welcome.accept ? 1 : 0]), u32(welcome.bytes.length), welcome.bytes]))
  change()
  await stream.close()
}

// ---- Gossip

/** The verdict before a message is passed on: records are checked, other kinds passed on unread. */
function verdict (data) {
  try {
    if (artel.parseFrame(data).kind === artel.RECORDS) artel.checkRecords(data, home.federation)
    return 'accept'
  } catch (error) {
    return 'reject'
  }
}

const libp2p = await createLibp2p({
  privateKey,
  // Who does not listen is not dialled again by those it has left.
  addresses: { listen: isLazy ? [] : ['/ip4/127.0.0.1/tcp/0'] },
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  services: {
    identify: identify(),
    ping: ping(),
    gossip: gossipsub({
      globalSignaturePolicy: StrictNoSign,
      msgIdFn: ({ topic, data }) => artel.messageId(topic, data),
      msgIdToStrFn: (id) => Buffer.from(id).toString('hex'),
      fallbackToFloodsub: false,
      floodPublish: false,
      allowPublishToZeroTopicPeers: false,
      // It asks nobody into its mesh; whoever asks it is refused below.
      ...(isLazy ? { D: 0, Dlo: 0, Dhi: 0, Dscore: 0, Dout: 0 } : {})
    })
  }
})
const { gossip } = libp2p.services

libp2p.addEventListener('peer:identify', ({ detail }) => {
  identified.set(detail.peerId.toString(), detail)
  change()
})
libp2p.addEventListener('connection:open', ({ detail: connection }) => {
  greetings.set(connection.id, { peer: connection.remotePeer.toString(), ours: null, theirs: null })
  sayHello(connection).catch((error) => {
    greetings.get(connection.id).error = error
    change()
  })
})
libp2p.addEventListener('connection:close', change)
await libp2p.handle(PROTOCOL, (stream, connection) => {
  hearHello(stream, connection).catch((error) => { greetings.get(connection.id).error = error })
})
gossip.addEventListener('gossipsub:message', ({ detail: { propagationSource, msg, msgId } }) => {
  heard.push({ id: msgId, topic: msg.topic, from: propagationSource.toString(), data: Buffer.from(msg.data) })
  change()
})
const { handleIHave } = gossip
gossip.handleIHave = (from, offers) => {
  for (const { messageIDs } of offers) announced.push(...messageIDs.map((id) => `${from} ${Buffer.from(id).toString('hex')}`))
  return handleIHave.call(gossip, from, offers)
}
if (isLazy) {
  gossip.handleGraft = (from, grafts) => {
    refused.push(...grafts.map(({ topicID }) => `${from} ${topicID}`))
    change()
    return Promise.all(grafts.map(({ topicID }) => gossip.makePrune(from, topicID, false, false)))
  }
}

// ---- What the driver asks for

/** Learns of a federation from an invitation, and listens to its gossip. */
function meet ({ invitation }) {
  const learned = artel.parseInvitation(invitation)
  if (home === null) {
    home = learned
    for (const rest of artel.topics) {
      const topic = artel.topicName(home.federation, rest)
      gossip.topicValidators.set(topic, (_, { data }) => verdict(Buffer.from(data)))
      gossip.subscribe(topic)
    }
  }
  return learned
}

/** Dials an address and waits until both hellos were answered; with an invitation its secret is shown. */
async function dial ({ address, invitation, secret = true }) {
  if (invitation) {
    const learned = meet({ invitation })
    asking = secret ? { peer: artel.peerId(learned.issuer), secret: learned.secret } : null
    address = `${learned.addresses[0]}/p2p/${artel.peerId(learned.issuer)}`
  }
  const connection = await libp2p.dial(multiaddr(address), { signal: AbortSignal.timeout(DEADLINE_MS) })
  const greeting = await until(() => {
    const greeting = greetings.get(connection.id)
    if (greeting.error) throw greeting.error
    return greeting.ours && greeting.theirs !== null && greeting
  }, 'both hellos answered')
  return {
    peer: greeting.peer,
    accepted: greeting.ours.accept,
    code: greeting.ours.code,
    accepts: greeting.theirs,
    chain: chain.length,
    their_chain: greeting.said?.chain.length ?? null
  }
}

/** Waits until a peer has closed all connections. */
async function closed ({ peer }) {
  await until(() => libp2p.getConnections().every((c) => c.remotePeer.toString() !== peer), `no connection with ${peer}`)
  return {}
}

/** Hangs up. */
async function leave ({ peer }) {
  const connections = libp2p.getConnections().filter((c) => c.remotePeer.toString() === peer)
  await Promise.all(connections.map((connection) => connection.close()))
  return closed({ peer })
}

async function identity ({ peer }) {
  const said = await until(() => identified.get(peer), `identify of ${peer}`)
  return {
    agent_version: said.agentVersion,
    protocol_version: said.protocolVersion,
    protocols: said.protocols,
    listen_addrs: said.listenAddrs.map(String)
  }
}

async function pinged ({ peer }) {
  const connection = libp2p.getConnections().find((c) => c.remotePeer.toString() === peer)
  return { ms: await libp2p.services.ping.ping(connection.remotePeer, { signal: AbortSignal.timeout(DEADLINE_MS) }) }
}

/** Waits until peers are in this one's gossip mesh of a topic. */
async function meshed ({ topic, peers }) {
  const name = artel.topicName(home.federation, topic)
  await until(() => peers.every((peer) => gossip.getMeshPeers(name).includes(peer)), () => `${peers} in the mesh of ${topic}, it is ${gossip.getMeshPeers(name)}`)
  return {}
}

/** Waits until a peer asked this one into its mesh of a topic, and was refused. */
async function aloof ({ topic, peer }) {
  const name = artel.topicName(home.federation, topic)
  await until(() => refused.includes(`${peer} ${name}`), `${peer} asks into its mesh of ${topic}`)
  return {}
}

/** Whether a peer has announced this message by its id. */
const wasAnnounced = ({ peer, id }) => ({ announced: announced.includes(`${peer} ${id}`) })

/** Waits for the offer of a step, verifies it, and sees each of its bytes matter. */
async function offer ({ step }) {
  const wanted = Buffer.from(step.replaceAll('-', ''), 'hex')
  const offered = ({ data }) => {
    if (verdict(data) !== 'accept' || artel.parseFrame(data).kind !== artel.RECORDS) return null
    const found = artel.checkRecords(data, home.federation)
    const entries = found.records.map((record) => ({ record, ...artel.decodeEntry(record.body) }))
    const entry = entries.find(({ kind, fields }) => kind === 48 && Buffer.compare(fields.step, wanted) === 0)
    return entry && { ...entry, checkpoint: found.checkpoint }
  }
  const message = await until(() => heard.find((message) => offered(message)), `the offer of step ${step}`)
  const { record, checkpoint, fields } = offered(message)
  let unseen = 0
  for (let at = 0; at < message.data.length; at++) {
    const wrong = Buffer.from(message.data)
    wrong[at] ^= 1
    try {
      artel.checkRecords(wrong, home.federation)
      unseen++
    } catch {}
  }
  return {
    id: message.id,
    from: message.from,
    topic: message.topic,
    shard_topic: artel.topicName(home.federation, artel.offerTopic(fields.skills)),
    bytes: message.data.length,
    changed_bytes_unseen: unseen,
    author: artel.peerId(checkpoint.node),
    index: Number(record.index),
    size: Number(checkpoint.size),
    epoch: fields.epoch,
    skills: fields.skills,
    complexity: fields.complexity,
    level: fields.level,
    reward: Number(fields.reward),
    deadline: Number(fields.deadline),
    terms: fields.terms.toString('hex')
  }
}

/** Publishes the one entry of this peer's own journal, or on a topic a frame of a kind that nobody knows. */
async function publish ({ what, topic: rest = 'agents' }) {
  const data = what === 'joined'
    ? artel.journalOfOne(me, home.federation, randomBytes(16), artel.joined(home.genesis, artel.sha256(randomBytes(32))))
    : artel.frame(0x7a7a, 9, randomBytes(40))
  const topic = artel.topicName(home.federation, rest)
  await gossip.publish(topic, data)
  return { id: artel.messageId(topic, data).toString('hex') }
}

/** Waits for a message by its id, and says nothing of it where it did not come in time. */
async function message ({ id, within_ms: waitMs }) {
  const found = await until(() => heard.find((m) => m.id === id), `the message ${id}`, waitMs).catch((error) => {
    if (waitMs === undefined) throw error
  })
  return found ? { topic: found.topic, from: found.from, kind: artel.parseFrame(found.data).kind } : {}
}

/** Which of these frames hold as records of a federation. */
function judge ({ federation, frames }) {
  const holds = (hex) => {
    try {
      return artel.checkRecords(Buffer.from(hex, 'hex'), Buffer.from(federation, 'hex')) !== null
    } catch {
      return false
    }
  }
  return { hold: frames.map(holds) }
}

const asked = { judge, dial, closed, leave, identity, ping: pinged, meshed, aloof, announced: wasAnnounced, offer, publish, message }

const say = (answer) => process.stdout.write(JSON.stringify(answer) + '\n')
say({ peer: libp2p.peerId.toString(), listens: libp2p.getMultiaddrs().map((address) => address.toString().replace(/\/p2p\/.*/, '')) })
for await (const line of createInterface({ input: process.stdin })) {
  const { do: what, ...how } = JSON.parse(line)
  try {
    say(await asked[what](how))
  } catch (error) {
    say({ error: error.message || String(error) })
  }
}
await libp2p.stop()
process.exit(0)
