// The page: files and pasted text in, cards out. Nothing is sent or kept; trust comes only from the
// policy that the reader chooses by hand.

import { hex, sha256, utf8 } from "./bytes.mjs";
import { DOCUMENT_BYTES_MAX, stringify } from "./canonical.mjs";
import { NOTE_BYTES_MAX, parseNote } from "./checkpoint.mjs";
import { proveEquivocation, verifyEquivocation } from "./equivocation.mjs";
import { Malformed, VerificationFailed } from "./errors.mjs";
import { whyUnsupported } from "./keys.mjs";
import { library } from "./library.mjs";
import { readReceipt, readState, readStatus } from "./receipt.mjs";
import { TRUST_BYTES_MAX, policyKeys, readTrust } from "./trust.mjs";
import { Checker, kindOf, withoutNewline } from "./verify.mjs";
import { card, element, head, headline, language, plain, told } from "./view.mjs";

const FILES_MAX = 200;
const SEEN_MAX = 50;

const at = (id) => document.getElementById(id);
const isExpected = (error) => error instanceof Malformed || error instanceof VerificationFailed;

// What the reader has given so far; `shown` is what the cards are made of, in either language.
const given = { policies: [], chosen: null, atHand: null, seen: [], shown: [], unsupported: "" };

// ------------------------------------------------------------------------------------- policies

async function readAtMost(file, limit) {
  if (file.size > limit) throw new Malformed(`${file.size} bytes, more than ${limit}`);
  return new Uint8Array(await file.arrayBuffer());
}

async function addPolicies(files) {
  const wrong = [];
  for (const file of files) {
    try {
      const data = withoutNewline(await readAtMost(file, TRUST_BYTES_MAX + 1));
      const policy = readTrust(data);
      const print = hex(await sha256(data));
      if (!given.policies.some((each) => each.print === print)) {
        given.policies.push({ policy, print, name: file.name });
      }
      given.chosen = print;
    } catch (error) {
      if (!isExpected(error)) throw error;
      wrong.push(`${plain(file.name)}: ${told("policy_bad")}${plain(error.message)}`);
    }
  }
  showPolicies(wrong);
}

function showPolicies(wrong = []) {
  at("policies").replaceChildren(...given.policies.map(policyChoice));
  at("policy-told").classList.toggle("calm", !wrong.length);
  at("policy-told").textContent = wrong.join(" ") || (given.policies.length ? "" : told("policy_none"));
}

function policyChoice({ policy, print, name }) {
  const radio = element("input", { type: "radio", name: "policy", id: `policy-${print}` });
  radio.checked = print === given.chosen;
  radio.addEventListener("change", () => {
    given.chosen = print;
  });
  const rule = told("rule", { k: policy.threshold, n: policy.keepers.length });
  const required = policy.required.map((org) => policy.names[org] ?? org).join(", ");
  const label = element(
    "label",
    { for: `policy-${print}` },
    element("strong", {}, plain(policy.origin)),
    element("br"),
    plain(`${told("version")} ${policy.version} · ${rule}${required ? ` · ${told("required")} ${required}` : ""}`),
    element("br"),
    element("code", {}, `${plain(name)} · ${told("fingerprint")} ${print.slice(0, 16)}`),
  );
  return element("div", { class: "choice" }, radio, label);
}

// ------------------------------------------------------------------------------------ documents

function asked() {
  const about = at("about").value.trim();
  const valid = about === "" || /^[1-9][0-9]{7}:[0-9]{10}$/.test(about);
  at("about-told").textContent = valid ? "" : told("about_bad");
  if (!valid) {
    at("about").closest("details").open = true;
    at("about").focus();
    return null;
  }
  return {
    status: at("status").checked,
    now: Math.floor(Date.now() / 1000),
    about: about || null,
    audience: at("audience").value.trim(),
    purpose: at("purpose").value.trim(),
  };
}

// A pasted text as the file that it was copied from.
function pasted(text) {
  const trimmed = text.trim();
  return utf8(trimmed.startsWith("{") ? trimmed : `${trimmed}\n`);
}

async function verifyAll(documents) {
  const questions = asked();
  const chosen = given.policies.find(({ print }) => print === given.chosen);
  if (!questions || given.unsupported) return;
  if (!chosen) {
    showPolicies([told("policy_none")]);
    at("policy-files").focus();
    return;
  }
  at("results").hidden = false;
  document.querySelector("main").classList.add("told-once");
  at("spoken").textContent = told("working");
  const checker = new Checker(chosen.policy, given.atHand);
  given.shown = [];
  for (const each of documents.slice(0, FILES_MAX)) {
    given.shown.push(await verifyOne(each, checker, questions));
  }
  if (documents.length > FILES_MAX) given.shown.push({ note: "too_many" });
  showResults();
  at("results").scrollIntoView({ block: "start" });
}

async function verifyOne({ name, read }, checker, questions) {
  const { policy } = checker;
  try {
    const data = withoutNewline(await read());
    const kind = kindOf(data);
    if (kind === "policy") return { name, note: "is_policy" };
    const outcome = await checker.check(data, questions, kind);
    return { name, policy, outcome, proof: await contradiction(data, kind, name, policy) };
  } catch (failure) {
    if (!isExpected(failure)) throw failure;
    const outcome = { kind: "", verdict: "UNREADABLE", exit: 2, steps: [], found: null, failure };
    return { name, policy, outcome, proof: null };
  }
}

// -------------------------------------------------------------------------------- contradictions

// The first proof that this document and one seen before contradict each other, or null.
async function contradiction(data, kind, name, policy) {
  const found = partsOf(data, kind);
  if (found === null) return null;
  const others = given.seen.filter(({ note }) => note !== found.note);
  given.seen = [...given.seen.slice(1 - SEEN_MAX), { ...found, name }];
  for (const other of others) {
    try {
      const proof = await proveEquivocation(other, alike(other, found), policyKeys(policy));
      const { signer } = await verifyEquivocation(proof, policyKeys(policy));
      return { proof, signer: signer.name, other: other.name };
    } catch (error) {
      if (!isExpected(error)) throw error;
    }
  }
  return null;
}

// Two receipts of one and the same entry say nothing as such; their checkpoints may.
function alike(other, found) {
  if (!other.receipt || !found.receipt) return found;
  const same = stringify(other.receipt.entry.json) === stringify(found.receipt.entry.json);
  return same ? { ...found, receipt: null } : found;
}

function partsOf(data, kind) {
  try {
    if (kind === "receipt") {
      const receipt = readReceipt(data);
      return { note: receipt.checkpoint, receipt, state: receipt.state };
    }
    if (kind === "state" || kind === "status") {
      const { checkpoint, state } = (kind === "state" ? readState : readStatus)(data);
      return { note: checkpoint, receipt: null, state };
    }
    if (kind !== "note") return null;
    return { note: parseNote(data).whole, receipt: null, state: null };
  } catch (error) {
    if (isExpected(error)) return null;
    throw error;
  }
}

function alarm({ proof, signer, other }, name) {
  const url = URL.createObjectURL(new Blob([proof], { type: "application/json" }));
  const save = element("a", { class: "button", download: "equivocation.json", href: url }, told("save_proof"));
  const means = plain(told("contradiction", { signer }));
  return element(
    "article",
    { class: "card bad contradiction" },
    head("bad", "PROVEN", means, plain(`${other} / ${name}`)),
    element("div", { class: "inside" }, element("p", {}, save)),
  );
}

// -------------------------------------------------------------------------------------- results

function showResults() {
  const cards = [];
  for (const { name, note, proof } of given.shown) {
    if (note) cards.push(element("p", { class: "told" }, `${name ? `${plain(name)}: ` : ""}${told(note)}`));
    if (proof) cards.push(alarm(proof, name));
  }
  const judged = given.shown.filter(({ outcome }) => outcome);
  const order = [1, 2, 3, 0];
  const ordered = judged.toSorted((left, right) => order.indexOf(left.outcome.exit) - order.indexOf(right.outcome.exit));
  cards.push(...ordered.map(({ outcome, name, policy }) => card(outcome, name, policy)));
  const comparable = given.seen.length > 1 && !judged.some(({ proof }) => proof);
  if (comparable && judged.length > 1) cards.push(element("p", { class: "soft" }, told("no_contradiction")));
  at("cards").replaceChildren(...cards);
  at("spoken").textContent = spoken(ordered, cards);
}

function spoken(ordered, cards) {
  if (!ordered.length) return cards.map((each) => each.textContent).join(" ");
  const alarms = ordered.filter(({ proof }) => proof).map(({ proof }) => told("contradiction", proof));
  const many = ordered.length > 1 ? told("of_files", { n: ordered.length }) : "";
  return plain(`${alarms.join(" ")} ${many}${headline(ordered[0].outcome)}`.trim());
}

function showTexts() {
  document.documentElement.lang = language.zh ? "zh-CN" : "en";
  document.title = `Tallystick · ${told("title")}`;
  for (const each of document.querySelectorAll("[data-t]")) each.textContent = told(each.dataset.t);
  at("language").lang = language.zh ? "en" : "zh-CN";
  at("trouble").textContent = given.unsupported ? told(given.unsupported) : "";
  at("trouble").hidden = !given.unsupported;
  showPolicies();
  if (given.shown.length) showResults();
}

// --------------------------------------------------------------------------------------- events

const fileDocument = (file) => ({ name: file.name, read: () => readAtMost(file, DOCUMENT_BYTES_MAX + 1) });

function taken(input) {
  const files = [...input.files];
  input.value = ""; // so that the same file can be chosen again
  return files;
}

async function takeCheckpoint(input) {
  const [file] = taken(input);
  if (!file) return;
  try {
    const data = await readAtMost(file, NOTE_BYTES_MAX);
    parseNote(data);
    given.atHand = data;
    at("at-hand-told").textContent = plain(file.name);
  } catch (error) {
    if (!isExpected(error)) throw error;
    given.atHand = null;
    at("at-hand-told").textContent = told("at_hand_bad") + plain(error.message);
  }
}

function submit(event) {
  event.preventDefault();
  const text = at("paste").value;
  if (text.trim()) {
    verifyAll([{ name: told("paste"), read: async () => pasted(text) }]);
  } else {
    at("results").hidden = false;
    at("spoken").textContent = told("empty");
    at("cards").replaceChildren(element("p", { class: "told" }, told("empty")));
    at("paste").focus();
  }
}

function listen() {
  at("language").addEventListener("click", () => {
    language.zh = !language.zh;
    showTexts();
  });
  at("policy-files").addEventListener("change", ({ target }) => addPolicies(taken(target)));
  at("files").addEventListener("change", ({ target }) => {
    const files = taken(target);
    if (files.length) verifyAll(files.map(fileDocument));
  });
  at("at-hand").addEventListener("change", ({ target }) => takeCheckpoint(target));
  at("ask").addEventListener("submit", submit);
  for (const type of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(type, (event) => {
      event.preventDefault();
      at("drop").classList.toggle("over", type === "dragover");
      const files = type === "drop" ? [...event.dataTransfer.files] : [];
      if (files.length) verifyAll(files.map(fileDocument));
    });
  }
}

async function start() {
  language.zh = (navigator.language || "zh").startsWith("zh");
  at("cards").replaceChildren(); // a page that was saved with a verdict on it starts without
  at("spoken").textContent = "";
  at("results").hidden = true;
  given.unsupported = await whyUnsupported();
  at("ask").hidden = false;
  for (const each of at("ask").querySelectorAll("button, input, textarea")) {
    each.disabled = given.unsupported !== "";
  }
  listen();
  showTexts();
  globalThis.tallystick = library;
}

start();
