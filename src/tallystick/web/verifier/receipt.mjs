// Receipts, statuses and state proofs, by the numbered steps of docs/spec/receipt.md:
//
//   the item         1 item hash    2 path (n, count) to the items root
//   its transaction  3 header: the network    4 tx_id    5 the sender's signature
//   its entry        6 leaf: this tx_id, n and item    7 path (index, size) to the log root
//   who vouches      8 checkpoint: the origin    9 log signature    10 policy: the keepers
//   its state now   11 block leaf at index size - 1    12 the row's key and place    13 path of the
//                      row, or of its absence    14 the row is of this entry    15 as-of

import { equal, hex, tagged, sha256, concat, utf8 } from "./bytes.mjs";
import { decode, encode, formatInstant, parseInstant } from "./canonical.mjs";
import { parseNote } from "./checkpoint.mjs";
import { Malformed, VerificationFailed } from "./errors.mjs";
import { verifySignature } from "./keys.mjs";
import { leafHash, verifyPath } from "./merkle.mjs";
import { receipt as receiptShape, stateDocument, statusDocument } from "./shapes.mjs";
import { verifyRow, verifyRowKey } from "./state.mjs";
import { verifyCheckpoint, verifyKeepers, verifyLogSignature, verifyOrigin } from "./trust.mjs";
import { isFresh } from "./verdict.mjs";

export const RECEIPT_BYTES_MAX = 32 * 1024;
const CACHED_MAX = 4096;

// Ticks the steps off, and tells a failure at which one it happened. Only a step of 1 to 15 is the
// number of a failure; `held` and `at` are for people.
export class Steps {
  held = [];
  now = { number: 0, what: "" };

  constructor(numbered = true) {
    this.numbered = numbered;
  }

  at(number, what) {
    this.now = { number, what };
  }

  done(finding) {
    this.held.push({ ...this.now, finding });
  }

  async run(work) {
    try {
      return await work();
    } catch (error) {
      if (error instanceof VerificationFailed && this.numbered) {
        error.step = this.now.number;
        error.path = `step ${this.now.number}, ${this.now.what}`;
      }
      if (error instanceof VerificationFailed || error instanceof Malformed) {
        Object.assign(error, { held: this.held, at: this.now });
      }
      throw error;
    }
  }
}

// Remembers what `work` gave for a key; a failure is not remembered.
class Memory {
  found = new Map();

  async get(key, work) {
    if (!this.found.has(key)) {
      const value = await work();
      if (this.found.size >= CACHED_MAX) this.found.clear();
      this.found.set(key, value);
    }
    return this.found.get(key);
  }
}

export function readReceipt(data) {
  if (data.length > RECEIPT_BYTES_MAX) {
    throw new Malformed(`receipt has ${data.length} bytes, more than ${RECEIPT_BYTES_MAX}`);
  }
  return decode(data, receiptShape);
}

export function readState(data) {
  if (data.length > RECEIPT_BYTES_MAX) {
    throw new Malformed(`state proof has ${data.length} bytes, more than ${RECEIPT_BYTES_MAX}`);
  }
  return decode(data, stateDocument);
}

export function readStatus(data) {
  if (data.length > RECEIPT_BYTES_MAX) {
    throw new Malformed(`status has ${data.length} bytes, more than ${RECEIPT_BYTES_MAX}`);
  }
  return decode(data, statusDocument);
}

// Verifies many documents under one policy, and each signature that they share once. A note at
// hand stands in for a document's own if its text is the same; a vouched one of equal size and
// another root refutes the document.
export class Verifier {
  constructor(policy, checkpoint = null) {
    this.policy = policy;
    this.atHand = checkpoint === null ? null : parseNote(checkpoint);
    this.signatures = new Memory();
    this.vouched = new Memory();
  }

  async receipt(data, { status = false, now = null, about = null } = {}) {
    const receipt = readReceipt(data);
    const note = parseNote(utf8(receipt.checkpoint));
    const steps = new Steps();
    return steps.run(async () => {
      const txId = await this.item(receipt, steps); // 1 to 6
      steps.at(7, "log path");
      const { size, root } = note.checkpoint;
      const leaf = await leafHash(encode(receipt.entry.json));
      await verifyPath(leaf, receipt.index, size, receipt.log_path, root);
      steps.done(`entry ${receipt.index} of ${size}`);
      const vouched = await this.note(note, steps); // 8 to 10
      const state = receipt.state && (await this.row(receipt.state, vouched, receipt.index, steps));
      const { outcome } = receipt.entry;
      const verdict = judge(this.policy, outcome, state, { status, now, about });
      return { ...receipt, ...verified(vouched, state, verdict, steps), txId };
    });
  }

  // A state proof by itself: what a row says, or that there is no such row.
  async state(data, { now = null, about = null } = {}) {
    const document = readState(data);
    const note = parseNote(utf8(document.checkpoint));
    const steps = new Steps();
    return steps.run(async () => {
      const vouched = await this.note(note, steps); // 8 to 10
      const state = await this.row(document.state, vouched, null, steps);
      const verdict = judge(this.policy, "accepted", state, { status: true, now, about });
      return verified(vouched, state, verdict, steps);
    });
  }

  // A status: the row, and the entry that made it; or that there is no such row.
  async status(data, { now = null, about = null } = {}) {
    const { entry: made, state: proof, checkpoint: source } = readStatus(data);
    const note = parseNote(utf8(source));
    const steps = new Steps();
    return steps.run(async () => {
      if (made !== null) await this.entry(made, note.checkpoint, steps); // 6 and 7
      const vouched = await this.note(note, steps); // 8 to 10
      const state = await this.row(proof, vouched, made?.index ?? null, steps);
      if (made === null && (state.envelope?.entry ?? null) !== null) {
        steps.at(14, "row's entry");
        throw new VerificationFailed("the entry that made the row is not shown");
      }
      const outcome = made?.leaf.outcome ?? "accepted";
      const verdict = judge(this.policy, outcome, state, { status: true, now, about });
      return { ...verified(vouched, state, verdict, steps), entry: made?.leaf ?? null };
    });
  }

  // A checkpoint by itself.
  async checkpoint(data) {
    const note = parseNote(data);
    const steps = new Steps();
    return steps.run(async () => {
      const vouched = await this.note(note, steps);
      return verified(vouched, null, "VOUCHED", steps);
    });
  }

  async item({ item, item_path: path, header, signature, entry }, steps) {
    steps.at(1, "item hash");
    const digest = await tagged("tallystick/item/v1\n", encode(item));
    steps.done(hex(digest));
    steps.at(2, "items root");
    await verifyPath(await leafHash(digest), entry.n, header.count, path, header.root);
    steps.done(`item ${entry.n} of ${header.count}`);
    steps.at(3, "header");
    if (!equal(header.network, this.policy.network)) {
      throw new VerificationFailed(`of network ${hex(header.network)}, not of the policy's`);
    }
    steps.done(`${header.action} by ${header.sender}`);
    steps.at(4, "tx_id");
    const message = concat(utf8("tallystick/transaction/v1\n"), encode(header.json));
    const txId = hex(await sha256(message));
    steps.done(txId);
    steps.at(5, "signature");
    await this.signatures.get(`${txId} ${hex(signature)}`, () =>
      verifySignature(header.key, message, signature),
    );
    steps.done(`by key ${hex(header.key)}`);
    steps.at(6, "leaf");
    if (entry.tx !== txId || !equal(entry.item, digest)) {
      throw new VerificationFailed("the entry is not of this item and transaction");
    }
    parseInstant(entry.at);
    steps.done(fateOf(entry));
    return txId;
  }

  async entry({ leaf, index, path }, { size, root }, steps) {
    steps.at(6, "leaf");
    parseInstant(leaf.at);
    steps.done(fateOf(leaf));
    steps.at(7, "log path");
    await verifyPath(await leafHash(encode(leaf.json)), index, size, path, root);
    steps.done(`entry ${index} of ${size}`);
  }

  async note(own, steps) {
    steps.at(8, "checkpoint");
    const { origin, size, root } = verifyOrigin(this.policy, own);
    const note = this.atHand?.text === own.text ? this.atHand : own;
    if (note === own && this.atHand?.checkpoint.size === size && (await this.refutes(own))) {
      throw new VerificationFailed("the checkpoint at hand has another root at this size");
    }
    steps.done(`${origin}, size ${size}, root ${hex(root)}`);
    steps.at(9, "log signature");
    await this.vouched.get(`log ${note.whole}`, () => verifyLogSignature(this.policy, note));
    steps.done("by a log key of the policy");
    steps.at(10, "policy");
    const vouched = await this.vouched.get(note.whole, () => verifyKeepers(this.policy, note));
    steps.done(vouched.keepers.join(", ") || "no keeper is asked for");
    return vouched;
  }

  // Whether the note at hand, of equal size and another root, is itself vouched for.
  async refutes(own) {
    if (equal(this.atHand.checkpoint.root, own.checkpoint.root)) return false;
    try {
      await verifyCheckpoint(this.policy, this.atHand);
      return true;
    } catch (error) {
      if (error instanceof VerificationFailed) return false;
      throw error;
    }
  }

  async row(proof, vouched, index, steps) {
    const { size, root } = vouched.checkpoint;
    const block = proof.block_leaf;
    steps.at(11, "block leaf");
    await verifyPath(await leafHash(encode(block.json)), size - 1, size, proof.block_path, root);
    if (!equal(block.network, this.policy.network)) {
      throw new VerificationFailed(`of network ${hex(block.network)}, not of the policy's`);
    }
    const sealedAt = parseInstant(block.at);
    steps.done(`block ${block.block}, sealed at ${block.at}`);
    steps.at(12, "row key");
    const envelope = verifyRowKey(proof);
    steps.done(proof.key);
    steps.at(13, "row");
    await verifyRow(proof);
    steps.done(envelope === null ? "there is no such row" : `state ${envelope.state}`);
    if (index !== null) {
      steps.at(14, "row's entry");
      if (envelope?.entry !== index) {
        throw new VerificationFailed(`the row was not made by entry ${index}`);
      }
      steps.done(`made by entry ${index}`);
    }
    steps.at(15, "as-of");
    const asOf = vouched.asOf ?? sealedAt;
    steps.done(formatInstant(asOf));
    return { key: proof.key, row: proof.row, envelope, block, blockPath: proof.block_path, asOf };
  }
}

function fateOf({ outcome, at, block }) {
  return `${outcome} at ${at} in block ${block}`;
}

// Whether to act on what was proven. An unasked status can only speak against it.
function judge(policy, outcome, state, { status, now, about }) {
  if (outcome !== "accepted") return "REFUSED";
  if (state === null) return status || about ? "NO_STATUS" : "ACCEPTED";
  if (about !== null && state.key.slice(state.key.indexOf("/") + 1) !== about) return "OTHER";
  const { envelope, asOf } = state;
  if (envelope !== null && !envelope.good) return "NOT_GOOD";
  const until = envelope?.until ?? null;
  if (until !== null && Math.max(asOf, now ?? 0) >= parseInstant(until)) return "EXPIRED";
  if (status && now !== null && !isFresh(now - asOf, policy)) return "STALE";
  if (envelope === null) return "ABSENT";
  return status ? "GOOD" : "ACCEPTED"; // nobody asked how old its state is
}

function verified(vouched, state, verdict, steps) {
  const { checkpoint, keepers, orgs } = vouched;
  const asOf = state ? state.asOf : vouched.asOf;
  return { checkpoint, keepers, orgs, asOf, state, verdict, steps: steps.held };
}
