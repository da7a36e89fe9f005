// Rows under a state root: one envelope, pages of numbers, the compact sparse tree of all others.
// See docs/spec/state.md.

import { concat, equal, hex, sha256, tagged, utf8 } from "./bytes.mjs";
import { encode, narrow, parseInstant } from "./canonical.mjs";
import { Malformed, VerificationFailed } from "./errors.mjs";
import { row as rowShape } from "./shapes.mjs";

const SLOTS = 4096;
const HEIGHT = 12;
const EMPTY = new Uint8Array(32);
const LEAF = Uint8Array.of(0);
const NODE = Uint8Array.of(1);
const NUMBERED = /^[1-9][0-9]{7}:[0-9]{10}$/;

// The envelope of a row of any domain; what the domain added is left out.
export function readEnvelope(row) {
  const names = Object.keys(rowShape.fields).filter((name) => Object.hasOwn(row, name));
  const found = narrow(Object.fromEntries(names.map((name) => [name, row[name]])), rowShape);
  if (found.until !== null) parseInstant(found.until);
  return found;
}

export function billId(code, number) {
  return `${code}:${String(number).padStart(10, "0")}`;
}

// The row bears the key that was asked for, and the key alone says where a row must lie.
export function verifyRowKey({ key, page, row }) {
  const slash = key.indexOf("/");
  const [kind, id] = [key.slice(0, slash), key.slice(slash + 1)];
  if (NUMBERED.test(id) !== (page !== null)) {
    throw new VerificationFailed("numbers, and nothing else, are proven by a page", "page");
  }
  if (page !== null && billId(page.code, page.number) !== id) {
    throw new VerificationFailed("the page path is that of another number", "page");
  }
  if (row === null) return null;
  const envelope = readEnvelope(row);
  if (envelope.kind !== kind || envelope.id !== id) {
    throw new VerificationFailed(`the row is ${envelope.kind}/${envelope.id}`, "row");
  }
  return envelope;
}

// The state root of the block leaf has this row, or has none.
export async function verifyRow({ key, page, row, map, block_leaf: block }) {
  if (page === null) {
    const hash = row === null ? null : await tagged("tallystick/row/v1\n", encode(row));
    return verifyInMap(block.state, key, hash, map);
  }
  const number = Math.floor(page.number / SLOTS);
  const pageKey = `page/${page.code}/${number}`;
  if (row === null && !page.path.length) return verifyInMap(block.state, pageKey, null, map);
  const held = await (row === null
    ? tagged("tallystick/empty-slot/v1\n")
    : tagged("tallystick/slot/v1\n", encode(row)));
  const root = await pageRoot(page.number % SLOTS, held, page.path);
  return verifyInMap(block.state, pageKey, await tagged("tallystick/page/v1\n", root), map);
}

// The page's root, if `slot` holds the hash `held`; the path begins with its neighbour.
export async function pageRoot(slot, held, path) {
  if (path.length !== HEIGHT) {
    throw new VerificationFailed(`path has ${path.length} hashes, not ${HEIGHT}`, "page/path");
  }
  let node = held;
  for (const [height, sibling] of path.entries()) {
    const pair = (slot >> height) & 1 ? [sibling, node] : [node, sibling];
    node = await sha256(NODE, ...pair);
  }
  return node;
}

// -------------------------------------------------------------------------------------- the map

async function verifyInMap(root, key, rowHash, proof) {
  const keyHash = await tagged("tallystick/key/v1\n", utf8(key));
  await (rowHash === null ? verifyAbsent(root, keyHash, proof) : verifyPresent(root, keyHash, rowHash, proof));
}

export async function verifyPresent(root, keyHash, rowHash, proof) {
  if (proof.other !== null) throw new VerificationFailed("a proof of absence", "map");
  await leadsTo(root, await sha256(LEAF, keyHash, rowHash), keyHash, proof);
}

export async function verifyAbsent(root, keyHash, proof) {
  const { other } = proof;
  if (other === null) return leadsTo(root, EMPTY, keyHash, proof);
  if (equal(other.key_hash, keyHash)) {
    throw new VerificationFailed("a proof of presence", "map/other");
  }
  const depth = occupied(proof).length;
  if (bits(other.key_hash).slice(0, depth) !== bits(keyHash).slice(0, depth)) {
    throw new VerificationFailed("the other leaf lies elsewhere", "map/other");
  }
  return leadsTo(root, await sha256(LEAF, other.key_hash, other.row_hash), keyHash, proof);
}

async function leadsTo(root, leaf, keyHash, proof) {
  const [there, way] = [occupied(proof), bits(keyHash)];
  const siblings = proof.siblings.values();
  let node = leaf;
  for (let depth = there.length - 1; depth >= 0; depth -= 1) {
    const sibling = there[depth] === "1" ? siblings.next().value : EMPTY;
    node = await sha256(NODE, ...(way[depth] === "1" ? [sibling, node] : [node, sibling]));
  }
  if (!equal(node, root)) throw new VerificationFailed("does not lead to the state root", "map");
}

// The bitmap as digits from the root down to the deepest sibling, if it is the one spelling.
function occupied({ bitmap, siblings }) {
  if (bitmap.length && bitmap.at(-1) === 0) {
    throw new Malformed("longer than the proof", "map/bitmap");
  }
  const found = bits(bitmap).replace(/0+$/, "");
  if (found.replaceAll("0", "").length !== siblings.length) {
    throw new Malformed(`not the ${siblings.length} siblings of the bitmap`, "map/siblings");
  }
  if (siblings.some((sibling) => equal(sibling, EMPTY))) {
    throw new Malformed("an empty sibling, or one of another length", "map/siblings");
  }
  return found;
}

function bits(data) {
  return Array.from(data, (byte) => byte.toString(2).padStart(8, "0")).join("");
}
