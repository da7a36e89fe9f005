// The tree of RFC 9162: inclusion and consistency paths, and several leaves proven at once.
// Sizes go up to 2^53, so nothing here is shifted: halves are floored. See docs/spec/log.md.

import { concat, equal, sha256 } from "./bytes.mjs";
import { VerificationFailed } from "./errors.mjs";

const LEAF = Uint8Array.of(0);
const NODE = Uint8Array.of(1);

const half = (number) => Math.floor(number / 2);
const neighbour = (index) => (index % 2 ? index - 1 : index + 1);

export const leafHash = (data) => sha256(LEAF, data);
export const nodeHash = (left, right) => sha256(NODE, left, right);

// Whether each sibling on the way up from `index` stands to the left; `last` is the last index there.
function turns(index, last) {
  const found = [];
  while (last > 0) {
    if (neighbour(index) <= last) found.push(index % 2 === 1);
    index = half(index);
    last = half(last);
  }
  return found;
}

function checkHashes(hashes, count) {
  if (hashes.length !== count) {
    throw new VerificationFailed(`path has ${hashes.length} hashes, not ${count}`, "path");
  }
  for (const hash of hashes) {
    if (hash.length !== 32) {
      throw new VerificationFailed(`a hash of ${hash.length} bytes, not 32`, "path");
    }
  }
}

// The root that `path` leads to from leaf hash number `index` of `size`.
export async function rootFromPath(leaf, index, size, path) {
  if (!(index >= 0 && index < size)) {
    throw new VerificationFailed(`no leaf ${index} in a tree of ${size}`, "path");
  }
  const left = turns(index, size - 1);
  checkHashes(path, left.length);
  let folded = leaf;
  for (const [at, sibling] of path.entries()) {
    folded = left[at] ? await nodeHash(sibling, folded) : await nodeHash(folded, sibling);
  }
  return folded;
}

export async function verifyPath(leaf, index, size, path, root) {
  if (!equal(await rootFromPath(leaf, index, size, path), root)) {
    throw new VerificationFailed("path does not lead to the root", "path");
  }
}

// The new tree begins with the whole old one (RFC 9162 section 2.1.4.2).
export async function verifyConsistency(oldSize, oldRoot, newSize, newRoot, path) {
  if (oldSize > newSize) {
    throw new VerificationFailed(`size ${newSize} is below ${oldSize}`, "consistency");
  }
  if (oldSize === 0 && !equal(oldRoot, await sha256(new Uint8Array(0)))) {
    throw new VerificationFailed("not the root of the empty tree", "consistency");
  }
  if (oldSize === newSize && !equal(oldRoot, newRoot)) {
    throw new VerificationFailed("two roots of one size", "consistency");
  }
  if (oldSize === 0 || oldSize === newSize) return checkHashes(path, 0);
  let [index, last] = [oldSize - 1, newSize - 1];
  while (index % 2) [index, last] = [half(index), half(last)];
  const left = turns(index, last);
  checkHashes(path, left.length + (index ? 1 : 0));
  const [first, ...siblings] = index ? path : [oldRoot, ...path];
  let [before, after] = [first, first];
  for (const [at, sibling] of siblings.entries()) {
    if (left[at]) {
      before = await nodeHash(sibling, before);
      after = await nodeHash(sibling, after);
    } else {
      after = await nodeHash(after, sibling);
    }
  }
  if (!equal(before, oldRoot)) {
    throw new VerificationFailed("path does not lead to the old root", "consistency");
  }
  if (!equal(after, newRoot)) {
    throw new VerificationFailed("path does not lead to the new root", "consistency");
  }
}

// The root of a tree of `size` leaves that has these hashes at `indices`: each sibling stands once.
export async function rootFromSome(hashes, indices, size, proof) {
  const ascending = indices.every((index, at) => index > (at ? indices[at - 1] : -1) && index < size);
  if (!indices.length || hashes.length !== indices.length || !ascending) {
    throw new VerificationFailed("the indices do not name each leaf once, in order", "indices");
  }
  const rest = proof.values();
  const next = () => {
    const { value, done } = rest.next();
    if (done) throw new VerificationFailed("the path has fewer hashes than it needs", "path");
    return value;
  };
  let level = new Map(indices.map((index, at) => [index, hashes[at]]));
  for (let last = size - 1; last > 0; last = half(last)) level = await above(level, last, next);
  if (!rest.next().done) {
    throw new VerificationFailed("the path has more hashes than it needs", "path");
  }
  return level.get(0);
}

async function above(level, last, next) {
  const parents = new Map();
  for (const [index, hash] of level) {
    if (parents.has(half(index))) continue; // the left sibling took this one in
    if (index % 2) parents.set(half(index), nodeHash(next(), hash));
    else if (index === last) parents.set(half(index), hash); // alone: moves up unhashed
    else parents.set(half(index), nodeHash(hash, level.get(index + 1) ?? next()));
  }
  const found = await Promise.all(parents.values());
  return new Map([...parents.keys()].map((index, at) => [index, found[at]]));
}
