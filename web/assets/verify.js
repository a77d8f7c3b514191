// Verifies in this browser that an entry stands in a node's log: reads a C2SP tlog-proof, opens and hashes the leaf, walks up the
// Merkle tree (RFC 6962), checks the Ed25519 signature under the root, and whether this log continues the one that was verified before.
// Nothing here trusts what the node says of the outcome.

const encoder = new TextEncoder();
const unbase64 = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const base64 = (bytes) => btoa(String.fromCharCode(...bytes));
const unhex = (text) => Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
const hex = (bytes) => [...bytes].map((b) => b.toString(16).padStart(2, "0")).join("");
const joined = (...parts) => {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  parts.reduce((at, part) => (whole.set(part, at), at + part.length), 0);
  return whole;
};
const same = (a, b) => a.length === b.length && a.every((byte, at) => byte === b[at]);
const sha256 = async (...parts) => new Uint8Array(await crypto.subtle.digest("SHA-256", joined(...parts)));
const inner = (left, right) => sha256(Uint8Array.of(1), left, right);

/** Reads a tlog-proof: the index, the hashes from the leaf's sibling up, and the signed checkpoint. */
export const parse = (text) => {
  const gap = text.indexOf("\n\n");
  if (gap < 0) throw new Error("the proof has no checkpoint");
  const lines = text.slice(0, gap).split("\n");
  if (lines.shift() !== "c2sp.org/tlog-proof@v1") throw new Error("this is no tlog-proof");
  if (lines[0]?.startsWith("extra ")) lines.shift();
  const index = /^index (0|[1-9][0-9]*)$/.exec(lines.shift() ?? "");
  if (!index) throw new Error("the proof does not say its index");
  const path = lines.filter((line) => line !== "").map(unbase64);
  if (path.some((hash) => hash.length !== 32)) throw new Error("a hash has not 32 bytes");
  const note = text.slice(gap + 2);
  return { index: BigInt(index[1]), path, note, checkpoint: checkpoint(note) };
};

const checkpoint = (note) => {
  const end = note.indexOf("\n\n");
  if (end < 0) throw new Error("the checkpoint is not signed");
  const body = note.slice(0, end + 1);
  const [origin, size, root] = body.split("\n");
  if (!/^(0|[1-9][0-9]*)$/.test(size ?? "")) throw new Error("the checkpoint does not say its size");
  const signatures = note.slice(end + 2).split("\n").filter((line) => line !== "").map((line) => {
    const found = /^\u2014 (\S+) (\S+)$/.exec(line);
    if (!found) throw new Error("a signature line is not understood");
    return { name: found[1], bytes: unbase64(found[2]) };
  });
  return { body, origin, size: BigInt(size), root: unbase64(root ?? ""), signatures };
};

/** Walks from a leaf's hash to the root (RFC 9162, 2.1.3.2), and tells each step. */
export const climb = async (leafHash, index, size, path, told = () => {}) => {
  if (index >= size) throw new Error("the checkpoint does not cover this entry");
  let [fn, sn, hash] = [index, size - 1n, leafHash];
  for (const sibling of path) {
    if (sn === 0n) throw new Error("the proof is longer than the tree is high");
    const isRight = (fn & 1n) === 1n || fn === sn;
    hash = isRight ? await inner(sibling, hash) : await inner(hash, sibling);
    if (isRight) while ((fn & 1n) === 0n && fn !== 0n) [fn, sn] = [fn >> 1n, sn >> 1n];
    [fn, sn] = [fn >> 1n, sn >> 1n];
    told(isRight ? "left" : "right", sibling, hash);
  }
  if (sn !== 0n) throw new Error("the proof ends below the root");
  return hash;
};

/**
 * Walks from where an older tree ends up to its root and to the root of the one that continues it (RFC 9162, 2.1.4.2), and tells each
 * step. Both have a size and the older one a root; it has at least one leaf, and the other more.
 */
export const grow = async (older, newer, proof, told = () => {}) => {
  let [fn, sn] = [older.size - 1n, newer.size - 1n];
  while ((fn & 1n) === 1n) [fn, sn] = [fn >> 1n, sn >> 1n];
  // A complete tree is a node of the larger one, and is not said again.
  const isComplete = (older.size & (older.size - 1n)) === 0n;
  const [first, ...path] = isComplete ? [older.root, ...proof] : proof;
  if (!first) throw new Error("the proof is empty");
  let [was, is] = [first, first];
  for (const hash of path) {
    if (sn === 0n) throw new Error("the proof is longer than the tree is high");
    const isOld = (fn & 1n) === 1n || fn === sn;
    [was, is] = isOld ? [await inner(hash, was), await inner(hash, is)] : [was, await inner(is, hash)];
    if (isOld) while ((fn & 1n) === 0n && fn !== 0n) [fn, sn] = [fn >> 1n, sn >> 1n];
    [fn, sn] = [fn >> 1n, sn >> 1n];
    told(isOld, hash, was, is);
  }
  if (sn !== 0n) throw new Error("the proof ends below the root");
  return [was, is];
};

const BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/** The Ed25519 key that a peer id holds: base58 of `00 24 08 01 12 20` and the key's 32 bytes. */
export const keyOf = (peer) => {
  let number = 0n;
  for (const char of peer) {
    const digit = BASE58.indexOf(char);
    if (digit < 0) throw new Error("the origin names no peer id");
    number = number * 58n + BigInt(digit);
  }
  // Its first byte is a zero, which base58 writes as a 1.
  const bytes = peer.startsWith("1") && number < 1n << 296n ? unhex(number.toString(16).padStart(76, "0")) : [];
  if (!same(bytes.slice(0, 6), [0x00, 0x24, 0x08, 0x01, 0x12, 0x20])) throw new Error("the origin's peer id holds no Ed25519 key");
  return bytes.slice(6);
};

/** Checks the log's own signature: `true`, `false`, or `null` where this browser has no Ed25519. */
export const signed = async (checkpoint, key) => {
  const id = (await sha256(encoder.encode(`${checkpoint.origin}\n`), Uint8Array.of(1), key)).slice(0, 4);
  const own = checkpoint.signatures.filter(({ name, bytes }) => name === checkpoint.origin && same(bytes.slice(0, 4), id));
  if (key.length !== 32 || own.length === 0 || own.some(({ bytes }) => bytes.length !== 68)) return false;
  let imported;
  try {
    imported = await crypto.subtle.importKey("raw", key, { name: "Ed25519" }, false, ["verify"]);
  } catch (error) {
    // Any other error is of the key, not of the browser.
    return error.name === "NotSupportedError" ? null : false;
  }
  for (const { bytes } of own) {
    if (!(await crypto.subtle.verify({ name: "Ed25519" }, imported, bytes.slice(4), encoder.encode(checkpoint.body)))) return false;
  }
  return true;
};

// The kinds of entries by their numbers, as the protocol has them.
const KINDS = {
  1: "Genesis", 2: "Started", 3: "Joined", 4: "Admitted", 5: "Expelled", 6: "Invited", 7: "InvitationEnded", 16: "Enrolled",
  17: "Configured", 18: "Rotated", 19: "Revoked", 20: "Introduced", 21: "Forgotten", 22: "DelegationEnded", 32: "RunPosted",
  33: "CancelAsked", 34: "RunEnded", 40: "FraudProven", 48: "Offered", 49: "Granted", 50: "Released", 51: "Lapsed",
  52: "Submitted", 53: "Output", 54: "Verdict", 55: "StepEnded", 56: "Findings", 57: "Redone", 58: "Drawn", 59: "Unsettled",
  60: "Lot", 61: "Refuted", 62: "Unused", 63: "Withdrawn", 64: "Transfer", 65: "Recalled", 80: "ArtifactStored", 96: "Emitted", 97: "Refused",
  112: "Undertaken", 113: "Outgoing", 114: "HandedIn", 115: "Acknowledged", 116: "Concluded", 117: "LetGo", 118: "Unanswered",
  119: "Redoing", 120: "RefutedAway",
};

/** Reads the beginning of an entry's body: kind, moment (milliseconds) and correlation id. */
export const head = (body) => {
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  if (body.length < 17 || view.getUint32(4, true) !== body.length - 8) throw new Error("the body is no entry's");
  const kind = KINDS[view.getUint16(0, true)];
  if (!kind) throw new Error("the body is of a kind that this page does not know");
  const at = view.getBigUint64(8, true);
  if (body[16] === 0) return { kind, at, correlation: "" };
  const length = body.length < 25 ? 0n : view.getBigUint64(17, true);
  if (body[16] !== 1 || length < 1n || length > 64n || body.length < 25 + Number(length)) throw new Error("the body is no entry's");
  return { kind, at, correlation: new TextDecoder().decode(body.slice(25, 25 + Number(length))) };
};

/**
 * What a checkpoint is beside the last one that was verified of the same node: "first", "same", "grown", "shrunk", "restored",
 * "replaced" (of a log that the node has left) or "contradiction": two roots of one size, which is proof by itself.
 */
export const beside = (known, { origin, size, root }) => {
  if (!known) return "first";
  const [was, is] = [known.origin, origin].map((text) => BigInt(text.split("/")[3]));
  if (was !== is) return is > was ? "restored" : "replaced";
  if (size < BigInt(known.size)) return "shrunk";
  if (size > BigInt(known.size)) return "grown";
  return base64(root) === known.root ? "same" : "contradiction";
};

// Whether the leaf is that of the entry on the page; nothing where its body did not come.
const opens = async (given, page, leaf, told) => {
  if (leaf.length !== 42 || leaf[0] !== 1 || leaf[1] > 1) throw new Error("the leaf is none");
  const isPublic = (leaf[1] === 1) === page.public;
  told("The leaf's class is the page's", leaf[1] === 1 ? "public" : "private", isPublic);
  if (!isPublic) return false;
  if (given.body === undefined) {
    told("The entry's body did not come", "What the page says of it is not checked.", null);
    return null;
  }
  const body = unbase64(given.body);
  const salt = unbase64(given.salt);
  const isOpened = salt.length === 16 && same(await sha256(salt, body), leaf.slice(10));
  told("The leaf commits to the entry's body", `SHA-256(salt ‖ ${body.length} bytes) ${isOpened ? "=" : "≠"} ${hex(leaf.slice(10))}`, isOpened);
  if (!isOpened) return false;
  const { kind, at, correlation } = head(body);
  const isSame = kind === page.kind && at === BigInt(page.at) && correlation === page.correlation;
  told("That body is the page's entry", `${kind}, ${at} ms, ${correlation || "no correlation id"}`, isSame);
  return isSame;
};

const short = (hash) => `${hex(hash).slice(0, 16)}…`;

// How one checkpoint's log continues an older one's: "linked"; "contradiction" with the hashes that prove it, where they lead from the newer
// root to another older one; or "unlinked", which proves nothing: whoever cannot or will not show it answers so, and so does whoever lies.
const continues = async (older, newer, ask, told) => {
  const unlinked = (title, detail) => (told(title, detail, null), { link: "unlinked" });
  let hashes;
  try {
    hashes = (await ask(older.size.toString(), newer.size.toString())).map(unbase64);
    if (hashes.some((hash) => hash.length !== 32)) throw new Error("a hash has not 32 bytes");
  } catch (error) {
    return unlinked("The node gave no proof of how its log grew", error.message);
  }
  const both = `${older.size} → ${newer.size} entries`;
  const steps = [];
  let was, is;
  try {
    [was, is] = await grow(older, newer, hashes, (isOld, hash, was, is) => {
      const roots = isOld ? `${short(was)} and ${short(is)}` : short(is);
      steps.push([`Growth ${steps.length + 1}: joined with ${isOld ? "what stood there before" : "what came since"}`, `${short(hash)} → ${roots}`]);
    });
  } catch (error) {
    return unlinked("The node's proof of how its log grew is none", `${both}: ${error.message}`);
  }
  // Hashes that do not lead to the root that the node signed are not its log's, so they say nothing of it.
  if (!same(is, newer.root)) return unlinked("The node's proof of how its log grew leads to no root that it signed", `${both}: ${base64(is)} ≠ ${base64(newer.root)}`);
  for (const [title, detail] of steps) told(title, detail, true);
  told("The growth ends at the newer root", `${base64(is)} = ${base64(newer.root)}`, true);
  const isOlder = same(was, older.root);
  told("It begins at the older root", `${base64(was)} ${isOlder ? "=" : "≠"} ${base64(older.root)}`, isOlder);
  return isOlder ? { link: "linked" } : { link: "contradiction", growth: [both, ...hashes.map(base64)].join("\n") };
};

/**
 * Verifies what a page got (`leaf`, `proof`, and for who may see it `salt` and `body`) against what stands on the page (`entry`, `kind`,
 * `at`, `correlation`, `public`, `federation`, `peer`) and the last checkpoint that was verified of this node (`known`: `origin`, `size`,
 * `root`, `note`), and tells each step as `(title, detail, ok)`. `ask(from, to)` gets the hashes that show how the log grew between two
 * sizes. Answers `{ outcome, seen, now }`: "proven", "leaf" where only the leaf is proven, "unsigned" where only the signature could
 * not be checked here, "unlinked" where the node did not show that its log continues the one before, "older" where the checkpoint is of
 * an earlier state than the one before, "contradiction" where both are proof together (with `growth`, the hashes that it needs, if any),
 * or "wrong"; `seen` is what to remember, `now` the node's signed checkpoint.
 */
export const verify = async (given, page, known, told, ask) => {
  if (!globalThis.crypto?.subtle) {
    told("This browser gives no cryptography to pages without TLS", "Open the page by https or on 127.0.0.1, or use artel audit verify.", null);
    return { outcome: "unsigned" };
  }
  const wrong = { outcome: "wrong" };
  try {
    const proof = parse(given.proof);
    const { checkpoint } = proof;
    const isEntry = proof.index === BigInt(page.entry);
    told("The proof is for this entry", `index ${proof.index}, tree of ${checkpoint.size}`, isEntry);
    if (!isEntry) return wrong;
    const [artel, federation, peer, incarnation, ...more] = checkpoint.origin.split("/");
    const isNode = artel === "artel" && federation === page.federation && peer === page.peer && more.length === 0 && /^(0|[1-9][0-9]{0,9})$/.test(incarnation ?? "");
    told("The log is this node's", checkpoint.origin, isNode);
    if (!isNode) return wrong;
    const bytes = unbase64(given.leaf);
    const leaf = await sha256(Uint8Array.of(0), bytes);
    told("The leaf is hashed", `SHA-256(0x00 ‖ leaf) = ${hex(leaf)}`, true);
    const isOpened = await opens(given, page, bytes, told);
    if (isOpened === false) return wrong;
    let level = 0;
    const root = await climb(leaf, proof.index, checkpoint.size, proof.path, (side, sibling, hash) => {
      level += 1;
      told(`Level ${level}: joined with its ${side} neighbour`, `${short(sibling)} → ${short(hash)}`, true);
    });
    const rootFits = same(root, checkpoint.root);
    told("The root is the checkpoint's", `${base64(root)} ${rootFits ? "=" : "≠"} ${base64(checkpoint.root)}`, rootFits);
    if (!rootFits) return wrong;
    const key = keyOf(peer);
    const isSigned = await signed(checkpoint, key);
    if (isSigned === null) {
      told("This browser has no Ed25519, so the signature was not checked", "artel audit verify checks it, and so do C2SP's tools.", null);
      return { outcome: "unsigned" };
    }
    told("The node signed that checkpoint", `Ed25519, the key in its peer id: ${hex(key).slice(0, 16)}…`, isSigned);
    if (!isSigned) return wrong;
    const witnesses = checkpoint.signatures.length - 1;
    if (witnesses > 0) told("Others cosigned it", `${witnesses} more signatures stand under it; their keys are not at hand here`, null);
    const now = proof.note;
    const seen = { origin: checkpoint.origin, size: checkpoint.size.toString(), root: base64(checkpoint.root), note: now };
    const came = beside(known, checkpoint);
    const before = known ? `${known.size} entries, root ${known.root}, incarnation ${known.origin.split("/")[3]}` : "";
    if (came === "contradiction") {
      told("It has another root than the one of this size that this browser verified before", before, false);
      return { outcome: "contradiction", now };
    }
    if (came === "same") told("It is the one that this browser verified before", before, true);
    if (came === "restored") told("The node began another log since: it was restored from a copy", before, null);
    if (came === "replaced") told("It is of a log that the node has left for another one since", before, null);
    if (came === "shrunk") told("It is of fewer entries than the one that this browser verified before", before, null);
    if (came === "grown" || came === "shrunk") {
      const held = { size: BigInt(known.size), root: unbase64(known.root) };
      const [older, newer] = came === "grown" ? [held, checkpoint] : [checkpoint, held];
      const { link, growth } = await continues(older, newer, ask, told);
      if (link === "contradiction") return { outcome: "contradiction", now, growth };
      if (came === "grown" && link === "linked") told("The log continues the one verified before", `${older.size} → ${newer.size} entries`, true);
      if (came === "grown" && link === "unlinked") return { outcome: "unlinked" };
    }
    // The one before stays remembered, so that the next proof is held against it.
    if (came === "shrunk" || came === "replaced") return { outcome: "older" };
    return { outcome: isOpened ? "proven" : "leaf", seen };
  } catch (error) {
    told("The proof is not one", error.message, false);
    return wrong;
  }
};
