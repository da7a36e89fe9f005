// A verdict and what it stands on, as elements. Texts out of files only ever become text nodes, with
// what could disguise them (controls, directions) spelled out.

import { hex } from "./bytes.mjs";
import { formatInstant, stringify } from "./canonical.mjs";
import { REASONS } from "./reasons.mjs";
import { HEADLINES, LIMITS, STATES, STEPS, TEXTS, VERDICTS, WARNINGS, inChinese } from "./words.mjs";

const TEXT_MAX = 2_000;
const LINES_MAX = 200;
const DISGUISE = /[\0-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;
const OTHERWISE_SHOWN = ["kind", "id", "state", "good", "entry", "version", "salt", "currency"];
const TONES = ["good", "bad", "unread", "warn"]; // by exit code
const ICONS = {
  good: "M24 3 43 10v13c0 11-8 19-19 23C13 42 5 34 5 23V10zM14 24l7 7 13-14",
  warn: "M24 4 46 43H2zM24 18v12M24 35v3",
  bad: "M15 3h18l12 12v18L33 45H15L3 33V15zM16 16l16 16M32 16 16 32",
  unread: "M10 3h20l8 8v34H10zM20 19c0-6 9-6 9 0 0 4-5 4-5 9M24 33v3",
};

export const language = { zh: true };

export function say(pair) {
  return pair[language.zh ? 0 : 1];
}

export function told(name, values = {}) {
  return say(TEXTS[name]).replace(/\{(\w+)\}/g, (_whole, key) => values[key]);
}

// A text from outside, as it may be shown.
export function plain(value) {
  const text = typeof value === "string" ? value : stringify(value);
  const shown = text.length > TEXT_MAX ? `${text.slice(0, TEXT_MAX)}…` : text;
  return shown.replace(DISGUISE, (char) => `\\u{${char.codePointAt(0).toString(16)}}`);
}

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children.filter((child) => child !== null));
  return made;
}

function icon(tone) {
  const svg = "http://www.w3.org/2000/svg";
  const [drawn, path] = [document.createElementNS(svg, "svg"), document.createElementNS(svg, "path")];
  const stroke = { d: ICONS[tone], fill: "none", stroke: "currentColor", "stroke-width": "3.5" };
  for (const [name, value] of Object.entries(stroke)) path.setAttribute(name, value);
  for (const [name, value] of [["viewBox", "0 0 48 48"], ["aria-hidden", "true"]]) {
    drawn.setAttribute(name, value);
  }
  drawn.append(path);
  return drawn;
}

function toneOf({ verdict, exit }) {
  return verdict === "PROVEN" ? "bad" : TONES[exit];
}

export function headline({ verdict }) {
  return `${say(HEADLINES[verdict])}: ${say(VERDICTS[verdict])}`;
}

// Icon, large word, what it means, and a line of small print.
export function head(tone, verdict, means, print) {
  return element(
    "div",
    { class: "verdict" },
    icon(tone),
    element(
      "div",
      {},
      element("h3", { class: "word" }, say(HEADLINES[verdict])),
      element("p", { class: "means" }, means),
      element("p", { class: "code" }, print),
    ),
  );
}

// One document's card: the verdict, why, what it is about, the steps, what is not proven.
export function card(outcome, name, policy) {
  const tone = toneOf(outcome);
  const { verdict, exit, failure, found } = outcome;
  const ofOurs = ["VOUCHED", "PROVEN"].includes(verdict); // `tally verify` gives no such verdict
  const code = ofOurs ? "" : ` · ${told("exit", { n: exit })}`;
  const top = head(tone, verdict, say(VERDICTS[verdict]), `${verdict}${code} · ${plain(name)}`);
  const inside = element("div", { class: "inside" });
  const why = failure ? reason(failure) : (found?.detail ?? "");
  if (why) inside.append(element("p", { class: "why" }, why));
  if (found) inside.append(...about(outcome, policy));
  const steps = stepsOf(outcome);
  if (steps.length) {
    inside.append(element("h3", {}, told("steps")), element("ol", { class: "steps" }, ...steps));
  }
  const limit = LIMITS[["presentation", "slip"].includes(outcome.kind) && !exit ? "SHOWN" : verdict];
  if (limit) inside.append(element("p", { class: "soft" }, say(limit)));
  return element("article", { class: `card ${tone}` }, top, inside);
}

function inWords(text) {
  return plain(language.zh ? inChinese(text) : text);
}

function reason(failure) {
  const { at } = failure;
  const what = at?.number ? STEPS[at.number] : null;
  const where = what ? told("at_step", { n: at.number, what: say(what) }) : "";
  return where + inWords(failure.message) + field(failure);
}

// Where in the file, unless the step has said so.
function field({ path, step }) {
  return path && step === undefined ? plain(` (${path})`) : "";
}

// ---------------------------------------------------------------------------------------- steps

function expected({ kind, steps, failure }) {
  const numbers = (first, last) => Array.from({ length: last - first + 1 }, (_, at) => first + at);
  if (kind === "note") return numbers(8, 10);
  if (kind === "state" || kind === "slip") return [...numbers(8, 13), 15];
  if (kind === "presentation") return numbers(1, 21);
  if (kind === "status") {
    const [first] = [...steps.map(({ number }) => number), failure?.at?.number ?? 8];
    return first < 8 ? numbers(6, 15) : [...numbers(8, 13), ...(failure?.at?.number === 14 ? [14] : []), 15];
  }
  if (kind !== "receipt") return [];
  const last = Math.max(...steps.map(({ number }) => number), failure?.at?.number ?? 0);
  return numbers(1, last > 10 ? 15 : 10);
}

function stepsOf(outcome) {
  const { steps, failure } = outcome;
  if (!steps.length && !failure?.at?.number) return [];
  const held = new Map(steps.map(({ number, finding }) => [number, finding]));
  const failing = failure?.at?.number ?? (failure?.shown ? 21 : null);
  return expected(outcome).map((number) => {
    if (held.has(number)) return stepLine(number, "held", "✓", inWords(held.get(number)));
    if (number === failing) return stepLine(number, "failed", "✗", inWords(failure.message));
    return stepLine(number, "open", "–", told("not_reached"));
  });
}

function stepLine(number, state, mark, finding) {
  const spoken = { held: told("held"), failed: told("failed"), open: told("not_reached") }[state];
  return element(
    "li",
    { class: state },
    element("span", { class: "n" }, String(number)),
    element("span", { class: "mark" }, element("span", { "aria-hidden": "true" }, mark), element("span", { class: "sr" }, spoken)),
    element("span", { class: "what" }, say(STEPS[number])),
    element("span", { class: "found" }, finding),
  );
}

// ---------------------------------------------------------------------------- what it is about

function about(outcome, policy) {
  const { kind, verdict, found } = outcome;
  if (kind === "equivocation") {
    return [facts([["signer", plain(found.signer.name)], ["finding", inWords(found.finding)]])];
  }
  if (kind === "note") return [facts(ofCheckpoint(found, policy))];
  if (kind === "slip") return [facts(ofSlip(found, policy))];
  if (kind !== "presentation") return [facts(ofReceipt(found, policy))];
  if (verdict === "NOT_FOR_YOU") {
    return [facts([["shown_to", named(found.audience, policy)], ["for", plain(found.purpose)]])];
  }
  return [facts(ofPresentation(found, policy)), ...warningsOf(found), ...fieldsOf(found)];
}

function facts(pairs) {
  const shown = pairs.filter(([, value]) => value !== "" && value !== null);
  return element(
    "dl",
    {},
    ...shown.flatMap(([name, value]) => [
      element("dt", {}, Object.hasOwn(TEXTS, name) ? told(name) : plain(name)),
      element("dd", {}, String(value)),
    ]),
  );
}

function named(org, policy) {
  return plain(org in policy.names ? `${policy.names[org]} (${org})` : org);
}

function vouchedBy({ orgs }, policy) {
  return orgs.map((org) => named(org, policy)).join(", ") || told("operator");
}

export function money(minor, currency = "") {
  const [sign, digits] = [minor < 0 ? "−" : "", String(Math.abs(minor)).padStart(3, "0")];
  const whole = digits.slice(0, -2).replace(/\B(?=(\d{3})+$)/g, ",");
  return `${sign}${whole}.${digits.slice(-2)} ${currency ?? ""}`.trim();
}

// An instant, and how long ago that is by this device's clock.
function instantOf(seconds) {
  if (seconds === null) return "";
  const ago = Math.floor(Date.now() / 1000) - seconds;
  const units = [["day", 86_400], ["hour", 3_600], ["minute", 60], ["second", 1]];
  const [unit, length] = units.find(([, size]) => Math.abs(ago) >= size) ?? ["second", 1];
  const format = new Intl.RelativeTimeFormat(language.zh ? "zh-CN" : "en", { numeric: "always" });
  return `${formatInstant(seconds)} (${format.format(-Math.trunc(ago / length), unit)})`;
}

function stateWord(word) {
  const known = language.zh && Object.hasOwn(STATES, word) ? `（${STATES[word]}）` : "";
  return plain(word) + known;
}

function refusal(outcome) {
  if (outcome === "accepted") return "";
  if (!Object.hasOwn(REASONS, outcome)) return plain(outcome);
  const [zh, todoZh, en, todoEn] = REASONS[outcome];
  return language.zh ? `${outcome}：${zh}；${todoZh}` : `${outcome}: ${en}; ${todoEn}`;
}

function ofReceipt(found, policy) {
  const { header, entry, state } = found;
  const pairs = [];
  if (header) pairs.push(["by", named(header.sender, policy)], ["action", plain(header.action)]);
  if (entry) pairs.push(["at", plain(entry.at)], ["refused", refusal(entry.outcome)]);
  if (state) pairs.push(["subject", plain(state.key)], ...ofRow(state));
  return [...pairs, ["vouched", vouchedBy(found, policy)], ["as_of", instantOf(found.asOf)]];
}

// As it is: what a domain adds may speak against acting on it, as a bill's `circulable`.
function ofRow({ envelope, row }) {
  if (envelope === null) return [["state", told("absent")]];
  const isBill = envelope.kind === "bills.bill";
  const more = Object.entries(row).filter(([name]) => !OTHERWISE_SHOWN.includes(name));
  return [
    ["state", stateWord(envelope.state)],
    ...more.map(([name, value]) => {
      if (name !== "amounts" || !isBill) return [`  ${name}`, plain(value)];
      const sums = Object.entries(envelope.amounts).map(([part, sum]) => `${part} ${money(sum)}`);
      return [`  ${name}`, plain(`${sums.join(" · ")} ${row.currency ?? ""}`)];
    }),
  ];
}

function ofCheckpoint(found, policy) {
  const { origin, size, root } = found.checkpoint;
  return [
    ["origin", plain(origin)],
    ["size", String(size)],
    ["root", hex(root)],
    ["vouched", vouchedBy(found, policy)],
    ["as_of", instantOf(found.asOf)],
  ];
}

function ofSlip(found, policy) {
  const { bill, sums } = found;
  const shown = Object.entries(sums).filter(([name]) => name !== "currency");
  return [
    ["bill", bill.id],
    ["issuer", named(bill.issuer, policy)],
    ["state", stateWord(bill.state)],
    ...shown.map(([name, sum]) => [name, typeof sum === "string" ? sum : money(sum, sums.currency)]),
    ["vouched", vouchedBy(found, policy)],
    ["as_of", instantOf(found.asOf)],
  ];
}

function ofPresentation(found, policy) {
  const { bill } = found;
  return [
    ["shown_to", named(found.audience, policy)],
    ["for", plain(found.purpose)],
    ["bill", bill.id],
    ["issuer", named(bill.issuer, policy)],
    ["issued_at", plain(bill.issued_at)],
    ["state", stateWord(bill.state)],
    ["total", money(found.total, bill.currency)],
    ["left", found.left === found.total ? "" : money(found.left, bill.currency)],
    ["remainder", found.items.length ? money(found.remainder, bill.currency) : ""],
    ["right", plain(`${found.right} ${found.rightId}`)],
    ["until", found.until ?? ""],
    ["archived", told(found.archived ? "yes" : "no")],
    ["vouched", vouchedBy(found, policy)],
    ["as_of", instantOf(found.asOf)],
  ];
}

function warningsOf({ warnings }) {
  if (!warnings.length) return [];
  const lines = warnings.map((name) => element("li", {}, say(WARNINGS[name])));
  return [element("ul", { class: "warnings" }, ...lines)];
}

function fieldsOf({ fields, items }) {
  const lines = new Map(items.map((line) => [`items/${line.index}`, line]));
  const shown = fields.slice(0, LINES_MAX).map(({ path, value }) => {
    const line = lines.get(path);
    return [`  ${path}`, line ? plain(`${line.name} · ${money(line.amount)}`) : plain(value)];
  });
  if (fields.length > LINES_MAX) shown.push(["…", `+ ${fields.length - LINES_MAX}`]);
  return [element("h3", {}, told("fields")), facts(shown)];
}
