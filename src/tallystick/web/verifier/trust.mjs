// A trust policy: whose word makes a checkpoint good. It comes from the reader's own hand; nothing
// out of a document adds trust. See docs/spec/trust.md.

import { base64 } from "./bytes.mjs";
import { COSIGNATURE_KEY, NOTE_KEY, verifyCosignature, verifyNoteSignature } from "./checkpoint.mjs";
import { decode } from "./canonical.mjs";
import { Malformed, VerificationFailed } from "./errors.mjs";
import { checkPoint } from "./keys.mjs";
import { trustPolicy } from "./shapes.mjs";

export const TRUST_BYTES_MAX = 64 * 1024;

const distinct = (values) => new Set(values).size === values.length;

export function readTrust(data) {
  if (data.length > TRUST_BYTES_MAX) {
    throw new Malformed(`trust policy has ${data.length} bytes, more than ${TRUST_BYTES_MAX}`);
  }
  const policy = decode(data, trustPolicy);
  const keys = [...policy.log_keys, ...policy.keepers.map(({ key }) => key)];
  if (!distinct(keys.map(base64))) throw new Malformed("a key stands twice", "keepers");
  if (!distinct([policy.origin, ...policy.keepers.map(({ name }) => name)])) {
    throw new Malformed("a key name stands twice", "keepers");
  }
  if (policy.threshold > policy.keepers.length) {
    const detail = `${policy.threshold} of ${policy.keepers.length} keepers cannot be reached`;
    throw new Malformed(detail, "threshold");
  }
  for (const { name, from_size: from, until_size: until } of policy.keepers) {
    if (until !== null && until <= from) throw new Malformed(`${name} counts for no size`, "keepers");
  }
  for (const org of policy.required) {
    if (!policy.keepers.some((keeper) => keeper.org === org)) {
      throw new Malformed(`required organisation ${org} has no keeper`, "required");
    }
  }
  for (const key of keys) checkPoint(key, "a trusted key");
  return policy;
}

// The keys of a policy, as those whom a proof of equivocation may name.
export function policyKeys(policy) {
  const logs = policy.log_keys.map((key) => ({ name: policy.origin, type: NOTE_KEY, key }));
  const keepers = policy.keepers.map(({ name, key }) => ({ name, type: COSIGNATURE_KEY, key }));
  return [...logs, ...keepers];
}

export function verifyOrigin(policy, note) {
  const { checkpoint } = note;
  if (checkpoint.origin !== policy.origin) {
    const detail = `checkpoint of ${checkpoint.origin}, not of ${policy.origin}`;
    throw new VerificationFailed(detail, "checkpoint");
  }
  return checkpoint;
}

// What `work` gives, or null if it fails to verify.
async function unlessFalse(work) {
  try {
    return await work();
  } catch (error) {
    if (error instanceof VerificationFailed) return null;
    throw error;
  }
}

// Any one log key of the policy suffices.
export async function verifyLogSignature(policy, note) {
  for (const key of policy.log_keys) {
    const holds = await unlessFalse(async () => {
      await verifyNoteSignature(note, policy.origin, key);
      return true;
    });
    if (holds) return;
  }
  throw new VerificationFailed("no valid signature by a log key of the policy", "checkpoint");
}

// Who of the policy co-signed, and since when they know nothing newer.
export async function verifyKeepers(policy, note) {
  const { size } = note.checkpoint;
  const counted = policy.keepers.filter(
    ({ from_size: from, until_size: until }) => size >= from && (until === null || size < until),
  );
  const times = [];
  for (const keeper of counted) {
    const time = await unlessFalse(() => verifyCosignature(note, keeper.name, keeper.key));
    if (time !== null) times.push({ ...keeper, time }); // absent or false: it does not count
  }
  const missing = policy.required.filter((org) => !times.some((each) => each.org === org));
  if (missing.length) {
    throw new VerificationFailed(`no co-signature of ${missing.join(", ")}`, "checkpoint");
  }
  if (times.length < policy.threshold) {
    const detail = `${times.length} co-signatures of ${policy.threshold} needed`;
    throw new VerificationFailed(detail, "checkpoint");
  }
  return {
    checkpoint: note.checkpoint,
    keepers: times.map(({ name }) => name),
    orgs: [...new Set(times.map(({ org }) => org))],
    asOf: asOfBy(policy, times),
  };
}

// The largest T such that the co-signatures made at T or later satisfy the policy.
function asOfBy(policy, times) {
  if (!times.length) return null;
  const newest = times.map(({ time }) => time).sort((left, right) => right - left);
  const bounds = policy.required.map((org) =>
    Math.max(...times.filter((each) => each.org === org).map(({ time }) => time)),
  );
  return Math.min(newest[Math.max(policy.threshold, 1) - 1], ...bounds);
}

// Raise unless the note is a checkpoint that the policy accepts.
export async function verifyCheckpoint(policy, note) {
  verifyOrigin(policy, note);
  await verifyLogSignature(policy, note);
  return verifyKeepers(policy, note);
}
