// What PROTOCOL.md says of bytes, in JavaScript: the encoding, hellos, invitations, frames of records with their proofs,
// and the entries that the interop suite looks at. Nothing but Node's own crypto; no library of Artel's.
import { createHash, createPrivateKey, createPublicKey, sign, verify } from 'node:crypto'

export const HELLO = 0x0101
export const WELCOME = 0x0102
export const RECORDS = 0x0110
const HELLO_BYTES_MAX = 70_856
const RECORDS_BYTES_MAX = 65_536
const SKEW_MS = 300_000

export const sha256 = (...parts) => {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest()
}
const ascii = (text) => Buffer.from(text, 'latin1')
const same = (a, b) => Buffer.compare(a, b) === 0

function need (condition, otherwise) {
  if (!condition) throw new Error(otherwise)
}

// ---- "Values"

export class Reader {
  constructor (bytes) {
    this.bytes = Buffer.from(bytes)
    this.at = 0
  }

  raw (count) {
    need(this.at + count <= this.bytes.length, 'the bytes end too soon')
    this.at += count
    return this.bytes.subarray(this.at - count, this.at)
  }

  u8 () { return this.raw(1)[0] }
  u16 () { return this.raw(2).readUInt16LE() }
  u32 () { return this.raw(4).readUInt32LE() }
  u64 () { return this.raw(8).readBigUInt64LE() }

  bool () {
    const value = this.u8()
    need(value < 2, 'a bool is 0 or 1')
    return value === 1
  }

  option (read) { return this.bool() ? read(this) : null }

  length () {
    const length = this.u64()
    need(length <= BigInt(this.bytes.length - this.at), 'a length beyond the bytes')
    return Number(length)
  }

  byteString () { return this.raw(this.length()) }
  text () { return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(this.byteString()) }
  list (read) { return Array.from({ length: this.length() }, () => read(this)) }

  variant (count) {
    const number = this.u32()
    need(number < count, `there is no variant ${number}`)
    return number
  }

  key () {
    need(this.u8() === 1, 'the only algorithm is 1, Ed25519')
    return this.raw(32)
  }

  signature () {
    need(this.u8() === 1, 'the only algorithm is 1, Ed25519')
    return this.raw(64)
  }

  end (value) {
    need(this.at === this.bytes.length, `${this.bytes.length - this.at} bytes too many`)
    return value
  }
}

const number = (size) => (value) => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(value))
  return bytes.subarray(0, size)
}
const u8 = number(1)
const u16 = number(2)
const u32 = number(4)
const u64 = number(8)
const option = (value) => value === null ? u8(0) : Buffer.concat([u8(1), value])
const byteString = (bytes) => Buffer.concat([u64(bytes.length), bytes])
const text = (value) => byteString(Buffer.from(value, 'utf8'))
const list = (values) => Buffer.concat([u64(values.length), ...values])
const key = (bytes) => Buffer.concat([u8(1), bytes])

export function frame (kind, version, payload) {
  return Buffer.concat([u16(kind), u16(version), u32(payload.length), payload])
}

export function parseFrame (bytes) {
  const reader = new Reader(bytes)
  const [kind, version, length] = [reader.u16(), reader.u16(), reader.u32()]
  need(length === bytes.length - 8, 'a frame takes up all of its bytes')
  return { kind, version, payload: reader.raw(length) }
}

// ---- "Ids and keys"

const ALPHABET = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'

/** A key's form as a libp2p peer id. */
export function peerId (publicKey) {
  // The first byte is 0, which base58 writes as a 1 of its own.
  let value = BigInt('0x' + Buffer.concat([Buffer.from('002408011220', 'hex'), publicKey]).toString('hex'))
  let said = ''
  for (; value > 0n; value /= 58n) said = ALPHABET[Number(value % 58n)] + said
  return '1' + said
}

// The y coordinates of the points of small order, and the two above the prime that stand for some of them.
const SMALL_ORDER = [
  '00'.repeat(32),
  '01' + '00'.repeat(31),
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'ec' + 'ff'.repeat(30) + '7f',
  'ed' + 'ff'.repeat(30) + '7f',
  'ee' + 'ff'.repeat(30) + '7f'
]

function isSmall (point) {
  const unsigned = Buffer.from(point)
  unsigned[31] &= 0x7f
  return SMALL_ORDER.includes(unsigned.toString('hex'))
}

/** Whether a signature holds, strictly: OpenSSL refuses an S that is not canonical, this the points of small order. */
export function verifies (publicKey, message, signature) {
  if (isSmall(publicKey) || isSmall(signature.subarray(0, 32))) return false
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: publicKey.toString('base64url') }
  try {
    return verify(null, message, createPublicKey({ key: jwk, format: 'jwk' }), signature)
  } catch {
    return false
  }
}

/** Signs with the key whose 32 secret bytes these are. */
export function signer (seed) {
  const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed])
  const secret = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  const publicKey = Buffer.from(createPublicKey(secret).export({ format: 'jwk' }).x, 'base64url')
  return { publicKey, sign: (message) => sign(null, message, secret) }
}

const signedPart = (domain, federation, payload) =>
  Buffer.concat([ascii(`artel/1/${domain}`), u8(0), federation, payload])

// ---- "The log": tree, subset proofs, checkpoints

const leafHash = (leaf) => sha256(u8(0), leaf)
const nodeHash = (left, right) => sha256(u8(1), left, right)

function split (size) {
  let half = 1n
  while (half * 2n < size) half *= 2n
  return half
}

/** The root that some leaves (index and hash, ascending) and a subset proof lead to in a tree of a size. */
function subsetRoot (leaves, size, proof) {
  const rest = [...proof]
  const walk = (from, to, inside) => {
    if (inside.length === 0) {
      need(rest.length > 0, 'a hash too few in the proof')
      return rest.shift()
    }
    if (to - from === 1n) return inside[0].hash
    const middle = from + split(to - from)
    const left = walk(from, middle, inside.filter((leaf) => leaf.index < middle))
    return nodeHash(left, walk(middle, to, inside.filter((leaf) => leaf.index >= middle)))
  }
  const root = walk(0n, size, leaves)
  need(rest.length === 0, 'a hash too many in the proof')
  return root
}

function checkpointText ({ federation, node, incarnation, size, root }) {
  return Buffer.from(`artel/${federation.toString('hex')}/${peerId(node)}/${incarnation}\n${size}\n${root.toString('base64')}\n`)
}

// ---- "Records"

/** Checks a frame of records in the eight steps of PROTOCOL.md, or throws. */
export function checkRecords (bytes, federation) {
  need(bytes.length <= RECORDS_BYTES_MAX, 'a frame of records has at most 65,536 bytes')
  const { kind, version, payload } = parseFrame(bytes)
  need(kind === RECORDS && version === 1, `a frame of kind ${kind}, version ${version}`)
  const reader = new Reader(payload)
  const checkpoint = {
    federation: reader.raw(32), node: reader.key(), incarnation: reader.u32(), size: reader.u64(), root: reader.raw(32)
  }
  const signature = reader.signature()
  const records = reader.list((r) => ({ index: r.u64(), publicSeq: r.u64(), salt: r.raw(16), body: r.byteString() }))
  const proof = reader.list((r) => r.raw(32))
  reader.end()
  need(checkpoint.size <= 1n << 62n, 'more than 2^62 leaves')
  need(checkpoint.size > 0n || same(checkpoint.root, sha256('')), 'an empty tree with another root')
  need(same(checkpoint.federation, federation), 'of another federation')
  need(records.length >= 1 && records.length <= 1_024, `${records.length} records`)
  need(records.every(({ body }) => body.length <= 16_384), 'a body that is too long')
  need(records[0].publicSeq <= records[0].index, 'the first number is above its index')
  records.slice(1).forEach((next, n) => {
    const [index, seq] = [next.index - records[n].index, next.publicSeq - records[n].publicSeq]
    need(index > 0n && seq > 0n && seq <= index, 'records that cannot follow each other')
  })
  need(verifies(checkpoint.node, checkpointText(checkpoint), signature), 'the checkpoint is not signed by its node')
  need(records.at(-1).index < checkpoint.size, 'an index beyond the tree')
  const leaves = records.map(({ index, publicSeq, salt, body }) => {
    const sequence = Buffer.alloc(8)
    sequence.writeBigUInt64BE(publicSeq)
    return { index, hash: leafHash(Buffer.concat([u8(1), u8(1), sequence, sha256(salt, body)])) }
  })
  need(same(subsetRoot(leaves, checkpoint.size, proof), checkpoint.root), 'the proof does not lead to the root')
  return { checkpoint, records }
}

/** A journal of one public entry, as the frame of records that shows it. */
export function journalOfOne (me, federation, salt, body) {
  const leaf = Buffer.concat([u8(1), u8(1), Buffer.alloc(8), sha256(salt, body)])
  const checkpoint = { federation, node: me.publicKey, incarnation: 0, size: 1n, root: leafHash(leaf) }
  return frame(RECORDS, 1, Buffer.concat([
    federation, key(me.publicKey), u32(0), u64(1), checkpoint.root,
    u8(1), me.sign(checkpointText(checkpoint)),
    list([Buffer.concat([u64(0), u64(0), salt, byteString(body)])]),
    list([])
  ]))
}

// ---- "Topics"

export const topicName = (federation, rest) => `artel/1/${federation.toString('hex')}/${rest}`
export const topics = ['agents', 'trust', 'heads', ...Array.from({ length: 16 }, (_, shard) => `tasks/${shard}`)]

export function offerTopic (skills) {
  const names = skills.map(([name]) => Buffer.from(name)).sort(Buffer.compare)
  return `tasks/${names.length === 0 ? 0 : sha256(names[0])[0] % 16}`
}

/** What a gossip message is called: see "Gossip". */
export const messageId = (topic, data) => sha256(topic, u8(0), data).subarray(0, 20)

// ---- "Entries"

const skill = (reader) => [reader.text(), reader.u32()]

const fields = {
  3: (r) => ({ genesis: genesisIn(r), recovery: r.raw(32) }),
  4: (r) => ({ node: r.key(), by: [() => ['open'], () => ['invitation', r.raw(32)], () => ['operator']][r.variant(3)]() }),
  48: (r) => ({
    step: r.raw(16),
    epoch: r.u32(),
    skills: r.list(skill),
    complexity: r.variant(4),
    level: r.option((o) => o.variant(4)),
    reward: r.u64(),
    deadline: r.u64(),
    terms: r.raw(32),
    windowMs: r.u32(),
    top: r.u8(),
    verdictWithinMs: r.u32()
  })
}

/** A public entry's body; of a kind that is not looked at here nothing but its number. */
export function decodeEntry (body) {
  const { kind, version, payload } = parseFrame(body)
  if (!(kind in fields)) return { kind, at: null, fields: null }
  need(version === 1, `version ${version} of kind ${kind}`)
  const reader = new Reader(payload)
  const at = reader.u64()
  need(reader.option((r) => r.text()) === null, 'a public entry names no request')
  return { kind, at, fields: reader.end(fields[kind](reader)) }
}

function genesisIn (reader) {
  const from = reader.at
  const record = {
    name: reader.text(), founders: reader.list((r) => r.key()), admission: reader.variant(2), recovery: reader.raw(32), created: reader.u64()
  }
  record.bytes = reader.bytes.subarray(from, reader.at)
  return record
}

/** The body of a `Joined`, which a journal of a node that is no founder begins with. */
export function joined (genesis, recovery) {
  return frame(3, 1, Buffer.concat([u64(Date.now()), option(null), genesis.bytes, recovery]))
}

// ---- "Hello and invitations"

export function parseInvitation (said) {
  const prefix = 'artel-invitation-1:'
  need(said.startsWith(prefix), 'this is no invitation')
  const bytes = Buffer.from(said.slice(prefix.length), 'base64url')
  need(bytes.toString('base64url') === said.slice(prefix.length), 'the base64url of the invitation is not in its one form')
  const reader = new Reader(bytes)
  const genesis = new Reader(reader.byteString())
  const record = genesis.end(genesisIn(genesis))
  const [issuer, addresses] = [reader.key(), reader.list((r) => r.text())]
  const [secret, until] = [reader.option((r) => r.raw(16)), reader.u64()]
  const signed = bytes.subarray(0, reader.at)
  const signature = reader.end(reader.signature())
  const federation = sha256('artel/1/genesis', u8(0), record.bytes)
  need(verifies(issuer, signedPart('invitation', federation, signed), signature), "the invitation is not its issuer's")
  return { genesis: record, federation, issuer, addresses, secret, until }
}

const helloPart = (federation, node, incarnation, at) =>
  signedPart('hello', federation, Buffer.concat([key(node), u32(incarnation), u64(at)]))

export function hello (me, { federation, addresses, chain, secret }) {
  const at = Date.now()
  return frame(HELLO, 1, Buffer.concat([
    federation, key(me.publicKey), u32(0), u64(at),
    u8(1), me.sign(helloPart(federation, me.publicKey, 0, at)),
    list(addresses.map(text)), list(chain.map(byteString)), option(secret)
  ]))
}

/** Checks a peer's hello and that it belongs to the federation; throws with the code that the welcome answers. */
export function checkHello (bytes, { federation, genesis, peer }) {
  const refuse = (condition, code) => need(condition, code)
  const attempt = (read, code) => {
    try { return read() } catch { throw new Error(code) }
  }
  const said = attempt(() => {
    need(bytes.length <= HELLO_BYTES_MAX, 'too long')
    const parsed = parseFrame(bytes)
    need(parsed.kind === HELLO && parsed.version === 1, 'no hello')
    const reader = new Reader(parsed.payload)
    return reader.end({
      federation: reader.raw(32),
      node: reader.key(),
      incarnation: reader.u32(),
      at: reader.u64(),
      signature: reader.signature(),
      addresses: reader.list((r) => r.text()),
      chain: reader.list((r) => r.byteString()),
      secret: reader.option((r) => r.raw(16))
    })
  }, 'hello_malformed')
  refuse(said.addresses.length <= 16 && said.addresses.every((a) => /^[\x21-\x7e]{1,256}$/.test(a)), 'hello_malformed')
  refuse(said.chain.length <= 8 && said.chain.every((r) => r.length >= 1 && r.length <= 8_192), 'hello_malformed')
  refuse(same(said.federation, federation), 'other_federation')
  refuse(same(said.node, peer), 'other_node')
  refuse(Math.abs(Number(said.at) - Date.now()) <= SKEW_MS, 'clock_skew')
  refuse(verifies(said.node, helloPart(federation, said.node, said.incarnation, said.at), said.signature), 'bad_signature')
  if (!isFounder(genesis, said.node)) attempt(() => checkChain(said.chain, { federation, genesis, node: said.node }), 'not_a_member')
  return said
}

const isFounder = (genesis, node) => genesis.founders.some((founder) => same(founder, node))

/** Whether a chain of admissions leads from a node to a founder; throws where it does not. */
export function checkChain (chain, { federation, genesis, node }) {
  need(chain.length >= 1 && chain.length <= 8, `${chain.length} admissions`)
  let wanted = node
  const seen = []
  for (const bytes of chain) {
    need(!isFounder(genesis, wanted) && !seen.some((other) => same(other, wanted)), 'a founder is admitted, or a node twice')
    const { checkpoint, records } = checkRecords(bytes, federation)
    need(records.length === 1, 'one admission a record')
    const { kind, fields: admitted } = decodeEntry(records[0].body)
    need(kind === 4 && same(admitted.node, wanted), 'the admission of somebody else')
    need(genesis.admission === 0 || admitted.by[0] !== 'open', 'an open door where there is none')
    need(genesis.admission === 1 || isFounder(genesis, checkpoint.node), 'in an open federation founders alone admit')
    seen.push(wanted)
    wanted = checkpoint.node
  }
  need(isFounder(genesis, wanted), 'the chain does not end at a founder')
}

export function welcome (code, message) {
  const accept = code === ''
  return { accept, bytes: frame(WELCOME, 1, Buffer.concat([u8(accept ? 1 : 0), text(code), text(message), list([])])) }
}

export function parseWelcome (bytes) {
  need(bytes.length <= HELLO_BYTES_MAX, 'a welcome that is too long')
  const { kind, version, payload } = parseFrame(bytes)
  need(kind === WELCOME && version === 1, 'no welcome')
  const reader = new Reader(payload)
  const said = { accept: reader.bool(), code: reader.text(), message: reader.text(), admission: reader.list((r) => r.byteString()) }
  need(said.accept === (said.code === '') && said.accept === (said.message === ''), 'a welcome with a reason, or a refusal without')
  return reader.end(said)
}
