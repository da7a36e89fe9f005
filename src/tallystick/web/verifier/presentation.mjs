// Presentations: chosen fields of one bill, for one reader and one purpose. After the receipt's 15
// steps: 16 the shown fields are under the bill's root; 17 each is always open or consented; 18 what
// is open is the record's; 19 the right is this reader's, for this bill; 20 what finance's archive
// says; 21 reader and purpose, and all is good and fresh. And split slips, which have no right.
// See docs/spec/presentation.md.

import { amountOf, bill as billShape, billType, codeOf, detail as detailShape, holderNow, isArchived, issuer as issuerShape, item as itemShape, numberOf, presentation as presentationShape, restOf, sources as sourcesShape, splitSlip, sumsOf } from "./bills.mjs";
import { equal, fromBase64url, sha256, utf8 } from "./bytes.mjs";
import { decode, encode, narrow, parseInstant, stringify } from "./canonical.mjs";
import { Malformed, Unfit, VerificationFailed } from "./errors.mjs";
import { leafHash, rootFromSome } from "./merkle.mjs";
import { RECEIPT_BYTES_MAX, Steps, Verifier } from "./receipt.mjs";
import { typedRow, verifyRight } from "./rights.mjs";
import { disclosure } from "./shapes.mjs";
import { isFresh } from "./verdict.mjs";

const ALWAYS_OPEN = [
  "network", "code", "number", "issuer", "type", "issued_at", "kind", "currency", "total",
  "relates", "relates/reversal_of", "relates/replaces", "relates/settles",
];
const MEMBERS = { consent: ["fields"], mandate: ["fields", "opening"], statute: ["grant"] };
const PATH = /^[a-z][a-z0-9_]{0,39}(\/(0|[1-9][0-9]{0,5}|[a-z][a-z0-9_]{0,39}))?$/;

// Names the proof in which something failed.
async function within(name, work) {
  try {
    return await work();
  } catch (error) {
    if (error instanceof VerificationFailed || error instanceof Malformed) {
      error.path = `${name}, ${error.path}`;
      delete error.step;
    }
    throw error;
  }
}

export function parseDisclosure(text) {
  const parts = decode(fromBase64url(text), disclosure);
  if (parts.length !== 3 || typeof parts[0] !== "string" || typeof parts[1] !== "string") {
    throw new Malformed("not a disclosure: base64url of [salt, path, value]");
  }
  const [salt, path, value] = parts;
  if (fromBase64url(salt).length !== 16) throw new Malformed("a salt that has not 16 bytes");
  if (!PATH.test(path)) throw new Malformed(`${path.slice(0, 80)} is not the path of a field`);
  return { path, value };
}

async function verifyShown({ disclosures, indices, size, path }, root) {
  const shown = disclosures.map(parseDisclosure);
  for (const [at, each] of shown.entries()) {
    if (at && shown[at - 1].path >= each.path) {
      throw new VerificationFailed("the fields do not ascend, or one stands twice", each.path);
    }
  }
  const leaves = disclosures.map(async (text) => leafHash(await sha256(utf8(text))));
  if (!equal(await rootFromSome(await Promise.all(leaves), indices, size, path), root)) {
    throw new VerificationFailed("the fields are not of this bill", "disclosures");
  }
  return shown;
}

// The right has the members of its kind, and its fields cover what is shown.
function verifyAllowed({ right }, shown) {
  for (const name of ["fields", "opening", "grant"]) {
    if ((right[name] !== null) !== MEMBERS[right.kind].includes(name)) {
      throw new VerificationFailed(`not what a ${right.kind} is shown with`, `right/${name}`);
    }
  }
  if (right.fields === null) return;
  const { paths } = right.fields;
  if (paths.some((path, at) => at && paths[at - 1] >= path)) {
    throw new Malformed("the patterns do not ascend, or one stands twice", "fields/paths");
  }
  for (const { path } of shown) {
    const covered = paths.includes(path) || paths.includes(path.replace(/\/.*$/, "/*"));
    if (!ALWAYS_OPEN.includes(path) && !covered) {
      throw new VerificationFailed("the holder did not consent to this field", path);
    }
  }
}

// What stands on the record too is the same there.
function verifyOpen(shown, bill, policy) {
  const recorded = {
    network: policy.json.network,
    code: codeOf(bill.id),
    number: numberOf(bill.id),
    issuer: bill.issuer,
    type: Math.floor(codeOf(bill.id) / 100),
    issued_at: bill.issued_at,
    kind: bill.bill_kind,
    currency: bill.currency,
    total: bill.amounts.total ?? null,
    relates: {},
    "relates/reversal_of": bill.reversal_of,
    "relates/replaces": bill.replaces,
    "relates/settles": bill.settles,
  };
  for (const { path, value } of shown) {
    let same = !Object.hasOwn(recorded, path) || stringify(value) === stringify(recorded[path]);
    if (path === "payment/sources") {
      const found = narrow(value, sourcesShape, path);
      same = ["account", "cash"].every((name) => found[name] === amountOf(bill, name, 0));
    }
    if (!same) throw new VerificationFailed("the body says another than the record", path);
  }
}

// The shown lines of a list, by index.
function linesBelow(shown, name, shape) {
  return shown
    .map(({ path, value }) => ({ path, value, index: /^([a-z_]+)\/([0-9]+)$/.exec(path) }))
    .filter(({ index }) => index?.[1] === name)
    .map(({ path, value, index }) => ({ ...narrow(value, shape, path), index: Number(index[2]) }))
    .sort((left, right) => left.index - right.index);
}

function billAgainst(found, bill) {
  if (["GOOD", "STALE"].includes(found.verdict)) return [];
  if (found.verdict === "NOT_GOOD" && bill.state === "partly_reversed") return [];
  return [{ verdict: found.verdict, detail: `the bill is ${bill.state}` }];
}

function staleAgainst(found, policy, now) {
  const age = now - found.asOf;
  if (isFresh(age, policy)) return [];
  return [{ verdict: "STALE", detail: `the state of ${found.state.key} is ${age} s old` }];
}

export class Presentations {
  constructor(policy, checkpoint = null) {
    this.policy = policy;
    this.verifier = new Verifier(policy, checkpoint);
  }

  async verify(data, { audience, purpose, now }) {
    const presentation = decode(data, presentationShape);
    const { receipt, bill } = await this.bill(presentation, now);
    const steps = new Steps(false);
    steps.held.push(...receipt.steps);
    return steps.run(() => this.steps(presentation, receipt, bill, { audience, purpose, now }, steps));
  }

  async steps(presentation, receipt, bill, { audience, purpose, now }, steps) {
    const { right, issuer } = presentation;
    const at = Math.max(now, receipt.asOf);
    const against = billAgainst(receipt, bill);
    steps.at(16, "shown fields");
    const shown = await verifyShown(presentation, bill.root);
    steps.done(`${shown.length} under the bill's root`);
    steps.at(17, "allowed fields");
    verifyAllowed(presentation, shown);
    steps.done(right.fields === null ? "always open" : "consented");
    steps.at(18, "open fields");
    verifyOpen(shown, bill, this.policy);
    steps.done(`total ${bill.amounts.total}`);
    steps.at(19, "right");
    const rows = [];
    for (const [n, each] of right.rows.entries()) {
      rows.push(await this.state(each, `right/rows/${n}`, now));
    }
    const held = await verifyRight(presentation, bill, rows, at);
    await this.type(right, bill, held, now);
    steps.done(`${right.kind} ${held.id}`);
    steps.at(20, "archive");
    const of = await this.state(issuer, "issuer", now);
    const archived = this.archived(of, bill);
    steps.done(archived ? "archived" : "not archived");
    const proofs = [receipt, ...rows, of];
    against.push(...held.against);
    against.push(...proofs.flatMap((each) => staleAgainst(each, this.policy, now)));
    const found = told(presentation, { bill, shown, held, archived, proofs, at, steps });
    steps.at(21, "reader");
    if (presentation.audience !== audience || presentation.purpose !== purpose) {
      const detail = `it is shown to ${presentation.audience} for ${presentation.purpose}`;
      throw new Unfit("NOT_FOR_YOU", detail, found);
    }
    for (const each of against) throw new Unfit(each.verdict, each.detail, found);
    steps.done(`${audience} for ${purpose}`);
    return { ...found, verdict: "GOOD" };
  }

  // The receipt's steps, and the row of the bill that it is about.
  async bill(presentation, now) {
    const data = encode(presentation.receipt.json);
    const receipt = await within("receipt", () => this.verifier.receipt(data, { status: true, now }));
    if (receipt.state === null) {
      throw new VerificationFailed("it does not show the bill's state", "receipt/state");
    }
    if (receipt.state.key !== `bills.bill/${presentation.bill}`) {
      throw new VerificationFailed(`the receipt is of ${receipt.state.key}`, "bill");
    }
    const bill = narrow(receipt.state.row, billShape);
    if (bill.bill_kind !== "blue" || bill.root === null) {
      throw new VerificationFailed(`a ${bill.bill_kind} number is shown to nobody`, "bill");
    }
    return { receipt, bill };
  }

  state(document, name, now) {
    return within(name, () => this.verifier.state(encode(document.json), { now }));
  }

  // A mandate for all types does not cover a sensitive one; so the type's rules are shown.
  async type({ type }, bill, held, now) {
    if (!held.needsType) {
      if (type !== null) throw new VerificationFailed("nothing asks for the type's rules", "right/type");
      return;
    }
    if (type === null) {
      throw new VerificationFailed("it does not show whether the type is sensitive", "right");
    }
    const found = await this.state(type, "right/type", now);
    const id = `${Math.floor(codeOf(bill.id) / 100)}/${bill.type_version}`;
    if (typedRow(found, billType, "bills.type", id, "right/type").rules.sensitive) {
      const detail = "a mandate covers a sensitive type only where it names it";
      throw new VerificationFailed(detail, "right");
    }
  }

  archived({ state }, bill) {
    const key = `bills.issuer/${bill.issuer}`;
    if (state.key !== key) throw new VerificationFailed(`not the state of ${key}`, "issuer");
    return isArchived(bill, state.row === null ? null : narrow(state.row, issuerShape));
  }
}

// What a presentation proves, and what its reader should know.
function told(presentation, { bill, shown, held, archived, proofs, at, steps }) {
  const items = linesBelow(shown, "items", itemShape);
  const details = linesBelow(shown, "details", detailShape);
  const total = amountOf(bill, "total");
  const warnings = {
    unbound: holderNow(bill, at).bound === 0,
    not_archived: !archived,
    offline: bill.offline,
    withheld: !bill.circulable,
    partly_reversed: bill.reversed_by.length > 0,
    rebinding: bill.pending !== null,
    disputed: bill.disputed > 0,
    purpose_unbound: presentation.right.kind === "statute",
  };
  return {
    audience: presentation.audience,
    purpose: presentation.purpose,
    bill,
    fields: shown,
    items,
    details,
    total,
    remainder: total - items.reduce((sum, line) => sum + line.amount, 0),
    left: restOf(bill, "total"),
    right: presentation.right.kind,
    rightId: held.id,
    until: held.until,
    archived,
    asOf: Math.min(...proofs.map((each) => each.asOf)),
    orgs: proofs[0].orgs.filter((org) => proofs.every((each) => each.orgs.includes(org))),
    warnings: Object.keys(warnings).filter((name) => warnings[name]),
    steps: steps.held,
  };
}

// What a split slip proves: the sums of its row, and how good they are.
export async function verifySlip(data, policy, { now, checkpoint = null }) {
  if (data.length > RECEIPT_BYTES_MAX) {
    throw new Malformed(`slip has ${data.length} bytes, more than ${RECEIPT_BYTES_MAX}`);
  }
  const slip = decode(data, splitSlip);
  const found = await new Verifier(policy, checkpoint).state(encode(slip.state.json), { now });
  const bill = typedRow(found, billShape, "bills.bill", slip.bill, "state");
  if (bill.bill_kind !== "blue") {
    throw new VerificationFailed(`a ${bill.bill_kind} number is not reimbursed`, "bill");
  }
  const sums = sumsOf(bill, parseInstant(slip.state.state.block_leaf.at));
  if (stringify(sums) !== stringify(slip.sums.json)) {
    throw new VerificationFailed("the sums are not those of the row", "sums");
  }
  const [against] = [...billAgainst(found, bill), ...staleAgainst(found, policy, now)];
  return { ...found, bill, sums, verdict: against?.verdict ?? "GOOD", detail: against?.detail ?? "" };
}
