// The records of bills that a presentation or a slip shows, and what follows from a bill's row.
// See docs/spec/contracts/bills.md; a test compares each field with the records of the Python code.

import { tagged } from "./bytes.mjs";
import { INTEGER_MAX, bool, int, list, literal, optional, parseInstant, record, text } from "./canonical.mjs";
import { Malformed } from "./errors.mjs";
import { amount, count, currency, digest, instant, nonce, orgId, publicKey, receipt, rowOf, signedAmount, stateDocument, word } from "./shapes.mjs";

const DISCLOSURES_MAX = 32_768;

const billCode = int(10_000_000, 99_999_999);
const billNumber = int(1, 9_999_999_999);
const billTypeId = int(100_000, 999_999);
const billIdShape = text(/^[1-9][0-9]{7}:[0-9]{10}$/);
const catalogueCode = text(/^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$/);
const freeText = text(null, 500);
const code = text(/^[!-~]{1,64}$/);
const seconds = int(0, 31_536_000);
const e4 = int(-INTEGER_MAX, INTEGER_MAX);
const ratio = int(0, 10_000);
const insuranceClass = optional(literal("a", "b", "c"));

// --------------------------------------------------------------------------------- rows of bills

const lock = record({
  who: digest,
  amount,
  cash: optional(amount, 0),
  until: instant,
  renewals: optional(count, 0),
  left: optional(count, 0),
});

const pending = record({
  holder: digest,
  due: instant,
  disputed: optional(bool, false),
  since: optional(count, 0),
});

const paperLink = record({
  id: billIdShape,
  state: literal("printing", "live", "lost"),
  until: optional(instant),
});

export const bill = rowOf({
  issuer: orgId,
  bill_kind: literal("blue", "red", "void", "paper"),
  type_version: optional(count, 0),
  issued_at: instant,
  currency: optional(currency),
  root: optional(digest),
  holder: optional(digest),
  circulable: optional(bool, true),
  reason: optional(word),
  reversal_of: optional(billIdShape),
  reversed_by: optional(list(billIdShape, 16), []),
  replaces: optional(billIdShape),
  replaced_by: optional(billIdShape),
  settles: optional(list(billIdShape, 16), []),
  settled_by: optional(billIdShape),
  offline: optional(bool, false),
  bound: optional(count, 0),
  pending: optional(pending),
  claims: optional(count, 0),
  lock: optional(lock),
  plan: optional(bool, false),
  reversing: optional(instant),
  reversing_since: optional(instant),
  reversing_version: optional(count, 0),
  reversing_left: optional(count, 0),
  frozen: optional(word),
  disputed: optional(count, 0),
  paper: optional(paperLink),
  paper_of: optional(billIdShape),
});

export const issuer = rowOf({
  reason: optional(word),
  below: optional(count, 0),
  exceptions: optional(
    list(record({ code: billCode, numbers: list(billNumber, 500, 1) }), 16),
    [],
  ),
  overdue_from: optional(instant),
  closed: optional(list(record({ type: billTypeId, before: instant }), 32), []),
  successor: optional(orgId),
  line: optional(int(0, 4), 0),
});

const claimRules = record({
  term_days: int(1, 36_500),
  lock_seconds_max: int(1, 31_536_000),
  renewals_max: optional(int(0, 100), 0),
  reversal_wait_seconds: seconds,
  bind_required: optional(bool, false),
  paper_presented: optional(bool, false),
});

const typeRules = record({
  currencies: list(currency, 20, 1),
  max_items: int(1, 200),
  max_details: int(0, 20_000),
  item_codes: list(catalogueCode, 1_000, 1),
  extension_keys: optional(list(word, 100), []),
  liability: literal("required", "optional", "absent"),
  ack: literal("record", "archived"),
  detail_tolerance_e4: optional(int(0, 1_000_000), 0),
  rounding_max: optional(amount, 0),
  details_required: optional(bool, false),
  classes_required: optional(bool, false),
  inpatient_sums: optional(bool, false),
  credit_code_required: optional(bool, false),
  partial_reversal: optional(bool, false),
  zero_total: optional(bool, false),
  zero_lines: optional(bool, false),
  claims: optional(claimRules),
  paper: optional(record({ type: billTypeId, loss_wait_seconds: seconds })),
  is_paper: optional(bool, false),
  sensitive: optional(bool, false),
  rebind_wait_seconds: optional(count, 0),
  retention_days: optional(count, 0),
  stock_numbers_max: optional(count, 0),
  stock_blocks_max: optional(int(0, 1_000), 0),
  deposit: optional(bool, false),
  reverse_within_seconds: optional(count, 0),
  year_grace_days: optional(count, 0),
  issue_past_seconds_max: count,
  issue_future_seconds_max: count,
  archive_within_seconds: count,
});

export const billType = rowOf({
  type: billTypeId,
  type_version: int(1, 9_999),
  catalogue: digest,
  rules: typeRules,
  valid_from: instant,
});

// ---------------------------------------------------------------------------------------- rights

const grantId = text(/^(founding\.(0|[1-9][0-9]{0,3})|[0-9a-f]{64}\.(0|[1-9][0-9]{0,2})(\.[0-7])?)$/);

export const consent = rowOf({
  bill: billIdShape,
  bound: count,
  reader: orgId,
  purpose: word,
  fields: digest,
});

export const mandate = rowOf({
  key: publicKey,
  reader: orgId,
  purpose: word,
  types: optional(list(billTypeId, 32), []),
  cap: optional(amount, 0),
  fields: digest,
});

export const authority = rowOf({
  grants: optional(
    list(
      record({
        grant_id: grantId,
        actions: list(text(/^(\*|[a-z]{1,16}\.(\*|[a-z_]{1,32}))$/), 32, 1),
        codes: optional(list(int(10, 99_999_999), 32), []),
        depth: optional(int(0, 8), 0),
        until: optional(instant),
        ended: optional(instant),
        end_reason: optional(word),
        parent: optional(record({ org: orgId, grant_id: grantId })),
      }),
      48,
    ),
    [],
  ),
});

// ------------------------------------------------------------------------ what a reader is handed

const pattern = text(/^[a-z][a-z0-9_]{0,39}(\/(\*|0|[1-9][0-9]{0,5}|[a-z][a-z0-9_]{0,39}))?$/);

export const presentation = record({
  format: literal("tallystick/presentation/v1"),
  audience: orgId,
  purpose: word,
  bill: billIdShape,
  disclosures: list(text(null, 512 * 1024), DISCLOSURES_MAX, 1),
  indices: list(count, DISCLOSURES_MAX, 1),
  size: int(1, DISCLOSURES_MAX),
  path: list(digest, DISCLOSURES_MAX),
  receipt,
  right: record({
    kind: literal("consent", "mandate", "statute"),
    rows: list(stateDocument, 9, 1),
    fields: optional(record({ salt: nonce, paths: optional(list(pattern, 256), []) })),
    opening: optional(record({ key: publicKey, nonce })),
    type: optional(stateDocument),
    grant: optional(grantId),
  }),
  issuer: stateDocument,
});

export const splitSlip = record({
  format: literal("tallystick/split-slip/v1"),
  bill: billIdShape,
  sums: record({
    currency,
    total: amount,
    account: optional(amount, 0),
    cash: optional(amount, 0),
    reversed: optional(amount, 0),
    settled: optional(amount, 0),
    settled_cash: optional(amount, 0),
    due: optional(amount, 0),
    locked: optional(amount, 0),
    locked_until: optional(instant),
    left_cash: optional(signedAmount, 0),
    left_cash_account: optional(signedAmount, 0),
  }),
  state: stateDocument,
});

export const item = record({
  code: catalogueCode,
  name: freeText,
  amount: signedAmount,
  quantity_e4: optional(e4, 0),
  unit: optional(freeText, ""),
  unit_price: optional(amount, 0),
  specification: optional(freeText, ""),
  insurance_class: insuranceClass,
  self_ratio_bps: optional(ratio, 0),
  pre_self_pay: optional(amount, 0),
  self_amount: optional(amount, 0),
  remark: optional(freeText, ""),
});

export const detail = record({
  item: int(0, 199),
  name: freeText,
  amount_e4: e4,
  code: optional(code),
  insurance_code: optional(code),
  quantity_e4: optional(e4, 0),
  unit: optional(freeText, ""),
  unit_price_e4: optional(count, 0),
  specification: optional(freeText, ""),
  insurance_class: insuranceClass,
  self_ratio_bps: optional(ratio, 0),
  pre_self_pay_e4: optional(count, 0),
  self_amount_e4: optional(count, 0),
  remark: optional(freeText, ""),
});

export const sources = record({
  fund: optional(amount, 0),
  other: optional(amount, 0),
  account: optional(amount, 0),
  cash: optional(amount, 0),
});

// ------------------------------------------------------------------- what follows from a bill's row

export function codeOf(id) {
  return Number(id.slice(0, 8));
}

export function numberOf(id) {
  return Number(id.slice(9));
}

export function amountOf(row, name, absent = null) {
  const found = row.amounts[name] ?? absent;
  if (found === null) throw new Malformed(`the row has no ${name}`, "amounts");
  return found;
}

// What reversals have left of a part of a bill.
export function restOf(row, part) {
  const gone = part === "total" ? "reversed" : `reversed_${part}`;
  return amountOf(row, part) - amountOf(row, gone, 0);
}

// The commitment that counts at `now`, and which binding it is.
export function holderNow(row, now) {
  const waiting = row.pending;
  if (waiting === null || waiting.disputed || now < parseInstant(waiting.due)) {
    return { holder: row.holder, bound: row.bound };
  }
  return { holder: waiting.holder, bound: row.bound + 1 };
}

// The lock that stands at `now`: not past its end, nor past the wait of a reversal.
function liveLock(row, now) {
  if (row.lock === null || row.frozen !== null) return row.lock;
  if (row.reversing !== null && now >= parseInstant(row.reversing)) return null;
  return now < parseInstant(row.lock.until) ? row.lock : null;
}

// What a blue bill's row says of its money at `now`; members at their default are left out.
export function sumsOf(row, now) {
  const held = liveLock(row, now);
  const [settled, settledCash] = [amountOf(row, "settled", 0), amountOf(row, "settled_cash", 0)];
  const free = restOf(row, "account") + restOf(row, "cash") - settled - (held?.amount ?? 0);
  const cash = restOf(row, "cash") - settledCash - (held?.cash ?? 0);
  const sums = {
    account: amountOf(row, "account"),
    cash: amountOf(row, "cash"),
    reversed: amountOf(row, "total") - restOf(row, "total"),
    settled,
    settled_cash: settledCash,
    due: amountOf(row, "due", 0),
    locked: held?.amount ?? 0,
    locked_until: held?.until ?? 0,
    left_cash: Math.min(cash, free),
    left_cash_account: free,
  };
  const said = Object.entries(sums).filter(([, value]) => value !== 0);
  return { currency: row.currency ?? "", total: amountOf(row, "total"), ...Object.fromEntries(said) };
}

// Whether finance's archive has said that it checked this body.
export function isArchived(row, of) {
  if (of === null || row.entry === null || row.entry >= of.below) return false;
  const [ofCode, number] = [codeOf(row.id), numberOf(row.id)];
  return !of.exceptions.some((each) => each.code === ofCode && each.numbers.includes(number));
}

// The commitment to a bill key, salted by one to the mandate key of the holder's wallet.
export async function commitHolder(opening, mandateKey) {
  const salt = await tagged("tallystick/holder-salt/v1\n", opening.nonce, mandateKey);
  return tagged("tallystick/holder/v1\n", salt, opening.key);
}
