// The records of the protocol, field by field: docs/spec says what each means.
//
// A test compares every field, pattern and limit with the records of the Python code.

import { INTEGER_MAX, bool, bytes, dict, int, json, list, literal, object, optional, record, text } from "./canonical.mjs";

const AMOUNT_MAX = 999_999_999_999_999;

export const digest = bytes(32);
export const nonce = bytes(16);
export const publicKey = bytes(32);
export const signature = bytes(64);
export const count = int(0, INTEGER_MAX);
export const amount = int(0, AMOUNT_MAX);
export const signedAmount = int(-AMOUNT_MAX, AMOUNT_MAX);
export const currency = text(/^[A-Z]{3}$/);
export const orgId = text(/^[a-z][a-z0-9-]{0,39}$/);
export const word = text(/^[a-z][a-z0-9_]{0,39}$/);
export const instant = text(/^[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]Z$/);

const keyName = text(/^[a-z0-9][a-z0-9./-]{0,120}$/);
const logPath = list(digest, 64);
const noteText = text(null, 16_384);

// ------------------------------------------------------------------------------- trust policies

const trustedKeeper = record({
  name: keyName,
  org: orgId,
  key: publicKey,
  from_size: optional(count, 0),
  until_size: optional(count),
});

export const trustPolicy = record({
  format: literal("tallystick/trust/v1"),
  version: int(1, 1_000_000),
  network: digest,
  origin: keyName,
  log_keys: list(publicKey, 32, 1),
  keepers: list(trustedKeeper, 64),
  threshold: int(0, 64),
  required: list(orgId, 16),
  status_max_age_seconds: int(1, 10_000_000),
  names: optional(dict(orgId, text(null, 200, 1)), {}),
  previous: optional(digest),
});

// ----------------------------------------------------------------------- receipts, state proofs

export const header = record({
  network: digest,
  key: publicKey,
  sender: orgId,
  action: text(/^[a-z]{1,16}\.[a-z_]{1,32}\/[1-9][0-9]{0,2}$/),
  count: int(1, 1_000),
  root: digest,
  idempotency: nonce,
  valid_until: instant,
  atomic: optional(bool, false),
});

export const entry = record({
  kind: literal("entry"),
  block: count,
  at: instant,
  tx: text(/^[0-9a-f]{64}$/),
  n: count,
  item: digest,
  outcome: text(/^(accepted|[a-z]{1,16}\.[a-z0-9_]{1,40})$/),
});

export const blockLeaf = record({
  kind: literal("block"),
  network: digest,
  block: count,
  at: instant,
  first: count,
  state: digest,
});

const pagePath = record({
  code: int(10_000_000, 99_999_999),
  number: int(0, 9_999_999_999),
  path: list(digest, 12),
});

const otherLeaf = record({ key_hash: digest, row_hash: digest });

export const mapProof = record({
  bitmap: bytes(0, 32),
  siblings: list(digest, 256),
  other: optional(otherLeaf),
});

export const stateProof = record({
  block_leaf: blockLeaf,
  block_path: logPath,
  key: text(/^[a-z]{1,16}\.[a-z_]{1,24}\/[!-~]{1,140}$/),
  row: optional(object),
  page: optional(pagePath),
  map: mapProof,
});

export const stateDocument = record({
  format: literal("tallystick/state-proof/v1"),
  checkpoint: noteText,
  state: stateProof,
});

const entryProof = record({ leaf: entry, index: count, path: logPath });

export const statusDocument = record({
  format: literal("tallystick/status/v1"),
  entry: optional(entryProof),
  state: stateProof,
  checkpoint: noteText,
});

export const receipt = record({
  format: literal("tallystick/receipt/v1"),
  item: object,
  item_path: list(digest, 10),
  header,
  signature,
  entry,
  index: count,
  log_path: logPath,
  checkpoint: noteText,
  state: optional(stateProof),
});

const envelope = {
  kind: text(/^[a-z]{1,16}\.[a-z_]{1,24}$/),
  id: text(/^[!-~]{1,140}$/),
  state: word,
  good: bool,
  until: optional(instant),
  amounts: optional(dict(word, signedAmount), {}),
  entry: optional(count),
  version: optional(count, 0),
  salt: optional(nonce),
};

export const row = record(envelope);
export const rowOf = (fields) => record({ ...envelope, ...fields });

// ----------------------------------------------------------------------- proofs of equivocation

const proof = (tag, fields) =>
  record({
    proof: literal(tag),
    format: literal("tallystick/equivocation/v1"),
    signer: text(null, 400),
    first: noteText,
    second: noteText,
    ...fields,
  });

export const equivocations = {
  two_roots: proof("two_roots", {}),
  other_prefix: proof("other_prefix", { prefix_root: digest, path: logPath }),
  two_leaves: proof("two_leaves", {
    index: count,
    first_leaf: digest,
    first_path: logPath,
    second_leaf: digest,
    second_path: logPath,
  }),
  hidden: proof("hidden", { index: count, block_leaf: blockLeaf, path: logPath }),
};

export const disclosure = list(json);
