// What a browser runs to verify a proof, run by node alone: node --test tests/browser/verify.test.mjs

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const read = (path) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
// The assets' folder has no package.json that would make a module of it.
const module = (path) => import(`data:text/javascript;base64,${Buffer.from(read(path)).toString("base64")}`);
const { beside, climb, grow, head, keyOf, parse, signed, verify } = await module("web/assets/verify.js");

const BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const base58 = (bytes) => {
  let text = "";
  for (let number = BigInt(`0x${Buffer.from(bytes).toString("hex")}`); number > 0n; number /= 58n) text = BASE58[Number(number % 58n)] + text;
  return `1${text}`;
};
const sha256 = async (...parts) => Buffer.from(await crypto.subtle.digest("SHA-256", Buffer.concat(parts.map((part) => Buffer.from(part)))));
const base64 = (bytes) => Buffer.from(bytes).toString("base64");

// A body of the golden entries: the kind Started, public.
const golden = read("federation/vectors/entries.txt").split("\n").map((line) => line.split("\t"));
const BODY = Buffer.from(golden.find((columns) => columns[1] === "Started").at(-1), "hex");
const SALT = Buffer.alloc(16, 7);
const FEDERATION = "ab".repeat(32);

const pair = await crypto.subtle.generateKey({ name: "Ed25519" }, true, ["sign", "verify"]);
const KEY = Buffer.from(await crypto.subtle.exportKey("raw", pair.publicKey));
const PEER = base58([0x00, 0x24, 0x08, 0x01, 0x12, 0x20, ...KEY]);
const PAGE = { entry: "1", kind: "Started", at: "1767225600001", correlation: "golden", public: true, federation: FEDERATION, peer: PEER };

const note = async (origin, size, root) => {
  const text = `${origin}\n${size}\n${base64(root)}\n`;
  const id = (await sha256(`${origin}\n`, [1], KEY)).subarray(0, 4);
  const signature = Buffer.from(await crypto.subtle.sign({ name: "Ed25519" }, pair.privateKey, Buffer.from(text)));
  return `${text}\n\u2014 ${origin} ${base64(Buffer.concat([id, signature]))}\n`;
};

// A log of two leaves, or three, or four, whose second one is the entry.
const LATER = await Promise.all([10, 11].map((n) => sha256([0], [n])));
const answer = async ({ body = BODY, salt = SALT, kind = 1, origin = `artel/${FEDERATION}/${PEER}/0`, neighbour = 9, size = 2, third = 10 } = {}) => {
  const leaf = Buffer.concat([Buffer.from([1, kind, 0, 0, 0, 0, 0, 0, 0, 1]), await sha256(salt, body)]);
  const sibling = await sha256([0], [neighbour]);
  const both = await sha256([1], sibling, await sha256([0], leaf));
  const later = size === 3 ? await sha256([0], [third]) : await sha256([1], ...LATER);
  const [path, root] = size === 2 ? [[sibling], both] : [[sibling, later], await sha256([1], both, later)];
  const proof = `c2sp.org/tlog-proof@v1\nindex 1\n${path.map(base64).join("\n")}\n\n${await note(origin, size, root)}`;
  return { leaf: base64(leaf), proof, salt: base64(salt), body: base64(body) };
};
// The log before, and the hash that shows how it grew: of one leaf, whose hash is the root.
const BEFORE = { origin: `artel/${FEDERATION}/${PEER}/0`, size: "1", root: base64(await sha256([0], [9])) };
const grown = async () => {
  const leaf = Buffer.from((await answer()).leaf, "base64");
  return [base64(await sha256([0], leaf))];
};
const outcome = async (given, page = PAGE, known = null, ask = grown) => (await verify(given, page, known, () => {}, ask)).outcome;

test("an honest answer proves the entry that stands on the page", async () => {
  const { kind, at, correlation } = head(new Uint8Array(BODY));
  assert.deepEqual([kind, at.toString(), correlation], [PAGE.kind, PAGE.at, PAGE.correlation]);
  assert.equal(await outcome(await answer()), "proven");
});

test("an entry that is in the log is not taken for another one on the page", async () => {
  const given = await answer();
  for (const other of [{ kind: "Genesis" }, { at: "1767225600002" }, { correlation: "" }, { public: false }, { entry: "0" }]) {
    assert.equal(await outcome(given, { ...PAGE, ...other }), "wrong", JSON.stringify(other));
  }
  const body = Buffer.from(BODY);
  body[body.length - 1] ^= 1;
  assert.equal(await outcome({ ...given, body: base64(body) }), "wrong", "another body");
});

test("without a body no more is claimed than that a leaf stands there", async () => {
  const { body, salt, ...given } = await answer();
  assert.ok(body && salt);
  assert.equal(await outcome(given), "leaf");
});

test("a log of another node, federation or made-up name is not this one's", async () => {
  for (const origin of [`artel/${FEDERATION}/12D3KooWRawPbxPtP1eZaJpumGnyWX2DcUyd3RQnydr3eAto4Az7/0`, `artel/${"cd".repeat(32)}/${PEER}/0`, "anything", `artel/${FEDERATION}/${PEER}/0/1`]) {
    assert.equal(await outcome(await answer({ origin })), "wrong", origin);
  }
});

test("a key that is none is wrong, and only a browser without Ed25519 cannot", async () => {
  const { checkpoint } = parse((await answer()).proof);
  assert.equal(await signed(checkpoint, KEY), true);
  assert.equal(await signed(checkpoint, KEY.subarray(1)), false);
  assert.equal(await signed({ ...checkpoint, body: `${checkpoint.body} ` }, KEY), false);
  const honest = crypto.subtle.importKey;
  for (const [name, said] of [["NotSupportedError", null], ["DataError", false]]) {
    crypto.subtle.importKey = async () => { throw new DOMException("no", name); };
    assert.equal(await signed(checkpoint, KEY), said, name);
  }
  crypto.subtle.importKey = honest;
  assert.throws(() => keyOf("12D3KooW"), /no Ed25519 key/);
  assert.throws(() => keyOf("0OIl"), /no peer id/);
});

const OTHER = base64(Buffer.alloc(32, 1));

test("two roots of one size are a contradiction, and an earlier state is none by itself", async () => {
  const { seen } = await verify(await answer(), PAGE, null, () => {});
  const given = await answer();
  assert.equal(await outcome(given, PAGE, seen), "proven");
  assert.equal(await outcome(await answer({ neighbour: 8 }), PAGE, seen), "contradiction", "another root");
  assert.equal(await outcome(given, PAGE, BEFORE), "proven", "larger");
  const { checkpoint } = parse(given.proof);
  const of = (incarnation) => ({ ...seen, origin: `artel/${FEDERATION}/${PEER}/${incarnation}` });
  assert.equal(beside(of(1), checkpoint), "replaced", "an older log");
  assert.equal(beside(of(0), { ...checkpoint, origin: of(1).origin }), "restored");
  assert.deepEqual(await verify(given, PAGE, of(1), () => {}, grown), { outcome: "older" });
});

test("a smaller checkpoint is an earlier state, unless its own growth proves that it is another log's", async () => {
  const [three, four] = [await answer({ size: 3 }), await answer({ size: 4 })];
  const { seen } = await verify(four, PAGE, null, () => {});
  const both = parse((await answer()).proof).checkpoint.root;
  const shows = async (from, to) => (assert.deepEqual([from, to], ["3", "4"]), [...LATER, both].map(base64));
  for (const [name, ask] of [["linked", shows], ["refused", async () => { throw new Error("404"); }], ["garbled", async () => [OTHER]]]) {
    assert.deepEqual(await verify(three, PAGE, seen, () => {}, ask), { outcome: "older" }, name);
  }
  const found = await verify(await answer({ size: 3, third: 12 }), PAGE, seen, () => {}, shows);
  assert.equal(found.outcome, "contradiction");
});

test("a growth that leads from the newer root to another older one is a contradiction, and is kept", async () => {
  const given = await answer({ size: 4 });
  const both = parse((await answer()).proof).checkpoint.root;
  // Three of four leaves are no node of the larger tree, so both roots have to come out.
  const three = { ...BEFORE, size: "3", root: base64(await sha256([1], both, LATER[0])) };
  const hashes = [...LATER, both].map(base64);
  const shows = async () => hashes;
  assert.equal(await outcome(given, PAGE, three, shows), "proven");
  const found = await verify(given, PAGE, { ...three, root: OTHER }, () => {}, shows);
  assert.deepEqual(found, { outcome: "contradiction", now: parse(given.proof).note, growth: ["3 → 4 entries", ...hashes].join("\n") });
});

test("a growth that comes to nothing proves nothing", async () => {
  const given = await answer();
  const four = await answer({ size: 4 });
  const both = parse(given.proof).checkpoint.root;
  const three = { ...BEFORE, size: "3", root: base64(await sha256([1], both, LATER[0])) };
  for (const [name, page, known, ask] of [
    // A complete tree is not said again in the proof: that the newer root does not come out may be the proof's fault.
    ["another log before", given, { ...BEFORE, root: OTHER }, grown],
    ["another growth", given, BEFORE, async () => [OTHER]],
    ["a proof that is too short", given, BEFORE, async () => []],
    ["a proof that is too long", given, BEFORE, async () => [...(await grown()), OTHER]],
    ["a changed hash", four, three, async () => [base64(LATER[0]), OTHER, base64(both)]],
    ["a changed hash of another log", four, { ...three, root: OTHER }, async () => [base64(LATER[0]), OTHER, base64(both)]],
  ]) assert.deepEqual(await verify(page, PAGE, known, () => {}, ask), { outcome: "unlinked" }, name);
});

test("a log whose growth is not shown is not called proven, and the one before stays remembered", async () => {
  for (const ask of [async () => { throw new Error("503"); }, async () => ["AAAA"], async () => undefined]) {
    const found = await verify(await answer(), PAGE, BEFORE, () => {}, ask);
    assert.deepEqual(found, { outcome: "unlinked" });
  }
});

test("the growth of every tree up to twenty leaves is shown by its own proof and by no changed one", async () => {
  const leaves = await Promise.all([...Array(20).keys()].map((n) => sha256([0], [n])));
  const split = (count) => 2 ** Math.floor(Math.log2(count - 1));
  const root = async (from, to) => {
    if (to - from === 1) return leaves[from];
    const middle = from + split(to - from);
    return sha256([1], await root(from, middle), await root(middle, to));
  };
  // By the definition of RFC 6962, 2.1.2.
  const prove = async (old, from, to, isWhole) => {
    if (old === to - from) return isWhole ? [] : [await root(from, to)];
    const k = split(to - from);
    if (old <= k) return [...(await prove(old, from, from + k, isWhole)), await root(from + k, to)];
    return [...(await prove(old - k, from + k, to, false)), await root(from, from + k)];
  };
  for (let size = 2; size <= leaves.length; size += 1) {
    for (let old = 1; old < size; old += 1) {
      const [was, is, proof] = [await root(0, old), await root(0, size), await prove(old, 0, size, true)];
      const [older, newer] = [{ size: BigInt(old), root: was }, { size: BigInt(size) }];
      const found = await grow(older, newer, proof);
      assert.deepEqual(found.map(base64), [base64(was), base64(is)], `${old} of ${size}`);
      const changed = await grow(older, newer, proof.map((hash, at) => (at === 0 ? Buffer.from(hash.map((byte) => byte ^ 1)) : hash)));
      assert.notDeepEqual(changed.map(base64), [base64(was), base64(is)], `${old} of ${size}, changed`);
      await assert.rejects(grow(older, newer, proof.slice(0, -1)), /empty|below/, `${old} of ${size}, cut`);
    }
  }
});

test("proofs of the protocol's vectors hold", async () => {
  const { proofs, journal } = JSON.parse(read("protocol/vectors/record.json"));
  for (const { index, proof } of proofs) {
    const { path, checkpoint } = parse(proof);
    const { class: kind, public_seq: seq, salt, body } = journal[index];
    const number = Buffer.alloc(8);
    number.writeBigUInt64BE(BigInt(seq));
    const leaf = await sha256([0], [1, kind], number, await sha256(Buffer.from(salt, "hex"), Buffer.from(body, "hex")));
    assert.equal(base64(await climb(new Uint8Array(leaf), BigInt(index), checkpoint.size, path)), base64(checkpoint.root));
    assert.equal(await signed(checkpoint, keyOf(checkpoint.origin.split("/")[2])), true);
  }
});
