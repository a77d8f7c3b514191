// Verifies in this browser that an entry stands in a node's log: reads a C2SP tlog-proof, hashes the leaf, walks up the Merkle
// tree (RFC 6962), and checks the Ed25519 signature under the root. Nothing here trusts what the node says of the outcome.

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
  return { index: BigInt(index[1]), path, checkpoint: checkpoint(text.slice(gap + 2)) };
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

/** Checks the node's own signature: `true`, `false`, or `null` where this browser has no Ed25519. */
export const signed = async (checkpoint, key) => {
  const id = (await sha256(encoder.encode(`${checkpoint.origin}\n`), Uint8Array.of(1), key)).slice(0, 4);
  const own = checkpoint.signatures.find(({ name, bytes }) => name === checkpoint.origin && same(bytes.slice(0, 4), id));
  if (!own) return false;
  let imported;
  try {
    imported = await crypto.subtle.importKey("raw", key, { name: "Ed25519" }, false, ["verify"]);
  } catch {
    return null;
  }
  return crypto.subtle.verify({ name: "Ed25519" }, imported, own.bytes.slice(4), encoder.encode(checkpoint.body));
};

/**
 * Verifies what a page got (`index`, `leaf`, `proof`, `node_key`) and tells each step as `(title, detail, ok)`.
 * Answers "proven", "unsigned" where only the signature could not be checked here, or "wrong".
 */
export const verify = async (given, entry, told) => {
  if (!globalThis.crypto?.subtle) {
    told("This browser gives no cryptography to pages without TLS", "Open the page by https or on 127.0.0.1, or use artel audit verify.", null);
    return "unsigned";
  }
  try {
    const proof = parse(given.proof);
    const { checkpoint } = proof;
    const isEntry = proof.index === BigInt(entry);
    told("The proof is for this entry", `index ${proof.index}, tree of ${checkpoint.size}`, isEntry);
    if (!isEntry) return "wrong";
    const leaf = await sha256(Uint8Array.of(0), unbase64(given.leaf));
    told("The leaf is hashed", `SHA-256(0x00 ‖ leaf) = ${hex(leaf)}`, true);
    let level = 0;
    const root = await climb(leaf, proof.index, checkpoint.size, proof.path, (side, sibling, hash) => {
      level += 1;
      told(`Level ${level}: joined with its ${side} neighbour`, `${hex(sibling).slice(0, 16)}… → ${hex(hash).slice(0, 16)}…`, true);
    });
    const rootFits = same(root, checkpoint.root);
    told("The root is the checkpoint's", `${base64(root)} ${rootFits ? "=" : "≠"} ${base64(checkpoint.root)}`, rootFits);
    if (!rootFits) return "wrong";
    const isSigned = await signed(checkpoint, unhex(given.node_key));
    if (isSigned === null) {
      told("This browser has no Ed25519, so the signature was not checked", "artel audit verify checks it, and so do C2SP's tools.", null);
      return "unsigned";
    }
    told("The node signed that checkpoint", `Ed25519, key ${given.node_key.slice(0, 16)}…, origin ${checkpoint.origin}`, isSigned);
    if (!isSigned) return "wrong";
    const witnesses = checkpoint.signatures.length - 1;
    if (witnesses > 0) told("Others cosigned it", `${witnesses} more signatures stand under it; their keys are not at hand here`, null);
    return "proven";
  } catch (error) {
    told("The proof is not one", error.message, false);
    return "wrong";
  }
};
