// By what right a bill is shown: a consent, a standing mandate, or a statute's grant. A right that
// passes is this reader's, for this purpose and bill; whether it is still good is said in `against`.
// See docs/spec/presentation.md, step 19.

import { authority, codeOf, commitHolder, consent, holderNow, mandate } from "./bills.mjs";
import { equal, tagged } from "./bytes.mjs";
import { encode, narrow, parseInstant } from "./canonical.mjs";
import { VerificationFailed } from "./errors.mjs";

const STATUTE_ACTION = "bills.statute";

// The proven row, which must be of this kind and, if given, of this id.
export function typedRow(found, shape, kind, id, path) {
  const { state } = found;
  if (state.envelope === null) {
    throw new VerificationFailed("it proves that there is no such row", path);
  }
  if (state.envelope.kind !== kind || (id !== null && id !== state.envelope.id)) {
    throw new VerificationFailed(`it proves ${state.key}`, path);
  }
  return narrow(state.row, shape);
}

export function commitFields({ salt, json }) {
  return tagged("tallystick/fields/v1\n", salt, encode(json.paths ?? []));
}

function only(rows) {
  if (rows.length !== 1) {
    throw new VerificationFailed(`${rows.length} rows prove it, not 1`, "right/rows");
  }
  return rows[0];
}

// What was signed is what the file says: reader, purpose, fields.
async function verifyWords({ audience, purpose, right }, row) {
  const digest = right.fields && (await commitFields(right.fields));
  for (const [path, same] of [
    ["audience", row.reader === audience],
    ["purpose", row.purpose === purpose],
    ["right/fields", digest !== null && equal(row.fields, digest)],
  ]) {
    if (!same) throw new VerificationFailed("not what the holder consented to", path);
  }
}

// How old a proof is, is asked of every proof, and not here.
function notGood(found, what) {
  if (["GOOD", "STALE"].includes(found.verdict)) return [];
  return [{ verdict: found.verdict, detail: `${what} has ended` }];
}

async function byConsent(presentation, bill, rows, at) {
  const found = only(rows);
  const row = typedRow(found, consent, "bills.consent", null, "right/rows/0");
  await verifyWords(presentation, row);
  if (row.bill !== bill.id) {
    throw new VerificationFailed(`the consent is about ${row.bill}`, "right/rows/0");
  }
  const against = notGood(found, "the consent");
  if (row.bound !== holderNow(bill, at).bound) {
    against.push({ verdict: "NOT_GOOD", detail: "the bill was bound anew since the consent" });
  }
  return { id: row.id, until: row.until, against, needsType: false };
}

async function byMandate(presentation, bill, rows, at) {
  const found = only(rows);
  const row = typedRow(found, mandate, "bills.mandate", null, "right/rows/0");
  await verifyWords(presentation, row);
  const { opening } = presentation.right;
  const against = notGood(found, "the mandate");
  const opened = await commitHolder(opening, row.key);
  const { holder } = holderNow(bill, at);
  if (holder === null || !equal(opened, holder)) {
    if (bill.holder === null || !equal(opened, bill.holder)) {
      throw new VerificationFailed("the bill is not one of the mandate's", "right/opening");
    }
    against.push({ verdict: "NOT_GOOD", detail: "the bill was bound anew since the mandate" });
  }
  if (row.types.length && !row.types.includes(Math.floor(codeOf(bill.id) / 100))) {
    throw new VerificationFailed("the mandate does not name this type", "right/rows/0");
  }
  return { id: row.id, until: row.until, against, needsType: !row.types.length };
}

// A live grant of the reader on the bill's code, down to its founding.
async function byStatute(presentation, bill, rows, at) {
  let [org, id] = [presentation.audience, presentation.right.grant];
  let [first, until] = [null, null];
  const against = [];
  for (const [n, found] of rows.entries()) {
    const path = `right/rows/${n}`;
    if (id === null) throw new VerificationFailed("more rows than the grant came from", path);
    const held = typedRow(found, authority, "kit.authority", org, path);
    against.push(...notGood(found, `the authority of ${org}`));
    const grant = held.grants.find((each) => each.grant_id === id);
    if (!grant) throw new VerificationFailed(`${org} has no grant ${id}`, path);
    first ??= grant;
    if (grant.ended !== null || (grant.until !== null && at >= parseInstant(grant.until))) {
      against.push({ verdict: "NOT_GOOD", detail: `the grant of ${org} has ended` });
    }
    if (grant.until !== null && (until === null || grant.until < until)) until = grant.until;
    [org, id] = grant.parent ? [grant.parent.org, grant.parent.grant_id] : [org, null];
  }
  if (first === null || id !== null) {
    throw new VerificationFailed(`nothing shows the grant ${id} of ${org}`, "right/rows");
  }
  verifyStatute(first, codeOf(bill.id));
  return { id: first.grant_id, until, against, needsType: false };
}

function verifyStatute({ actions, codes }, code) {
  const allows = (each) =>
    ["*", STATUTE_ACTION].includes(each) ||
    (each.endsWith(".*") && STATUTE_ACTION.startsWith(each.slice(0, -1)));
  if (!actions.some(allows)) {
    throw new VerificationFailed(`the grant is not for ${STATUTE_ACTION}`, "right/grant");
  }
  if (codes.length && !codes.some((prefix) => String(code).startsWith(String(prefix)))) {
    throw new VerificationFailed(`the grant is not for code ${code}`, "right/grant");
  }
}

const RIGHTS = { consent: byConsent, mandate: byMandate, statute: byStatute };

// The right of a presentation, of which `rows` are proven, as it stands at `at`.
export function verifyRight(presentation, bill, rows, at) {
  return RIGHTS[presentation.right.kind](presentation, bill, rows, at);
}
