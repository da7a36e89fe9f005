// Checkpoints and co-signatures as C2SP notes: one statement, one text. See docs/spec/checkpoint.md.

import { base64, concat, equal, fromBase64, fromUtf8, hex, sha256, utf8 } from "./bytes.mjs";
import { INTEGER_MAX } from "./canonical.mjs";
import { Malformed, VerificationFailed } from "./errors.mjs";
import { verifySignature } from "./keys.mjs";

export const NOTE_BYTES_MAX = 16 * 1024;
export const NOTE_KEY = 0x01;
export const COSIGNATURE_KEY = 0x04;

const SIGNATURES_MAX = 64;
const COSIGNED_AT_MAX = 253_402_300_799n; // 9999-12-31T23:59:59Z
const DASH = "\u2014 ";

function checkName(name) {
  if (!/^[!-*,-~]+$/.test(name)) throw new Malformed(`${name.slice(0, 80)} is not a key name`);
}

export function parseCheckpoint(text) {
  const lines = text.split("\n");
  if (lines.length !== 4 || lines[3] !== "") {
    throw new Malformed("a checkpoint has three lines", "checkpoint");
  }
  const [origin, size, root] = lines;
  checkName(origin);
  if (!/^(0|[1-9][0-9]{0,15})$/.test(size) || Number(size) > INTEGER_MAX) {
    throw new Malformed("the second line is not a size", "checkpoint");
  }
  const found = { origin, size: Number(size), root: fromBase64(root) };
  if (found.root.length !== 32) throw new Malformed("no such size or root", "checkpoint");
  return found;
}

// A note's text and its signature lines; nothing of it is verified yet.
export function parseNote(data) {
  if (data.length > NOTE_BYTES_MAX) {
    throw new Malformed(`note has ${data.length} bytes, more than ${NOTE_BYTES_MAX}`);
  }
  const whole = fromUtf8(data);
  const blank = whole.lastIndexOf("\n\n");
  const lines = whole.slice(blank + 2).split("\n");
  if (blank < 0 || lines.pop() !== "") {
    throw new Malformed("a note is a text, an empty line and signature lines");
  }
  if (lines.length < 1 || lines.length > SIGNATURES_MAX) {
    throw new Malformed(`note has ${lines.length} signatures, not 1 to ${SIGNATURES_MAX}`);
  }
  const text = whole.slice(0, blank + 1);
  const signatures = lines.map(parseLine);
  if (/[\0-\x09\x0b-\x1f]/.test(text)) {
    throw new Malformed("a note's text has control characters or no newline at its end");
  }
  if (new Set(signatures.map(({ name, keyId }) => `${name} ${keyId}`)).size < signatures.length) {
    throw new Malformed("a key has signed twice");
  }
  return { whole, text, signatures, checkpoint: parseCheckpoint(text) };
}

function parseLine(line) {
  const [name, encoded, ...more] = line.startsWith(DASH) ? line.slice(DASH.length).split(" ") : [""];
  checkName(name);
  const signed = fromBase64(encoded ?? "");
  if (signed.length <= 4 || more.length) throw new Malformed("not a signature line");
  return { name, keyId: hex(signed.subarray(0, 4)), signature: signed.subarray(4) };
}

async function keyIdOf(name, type, key) {
  return hex((await sha256(utf8(`${name}\n`), Uint8Array.of(type), key)).subarray(0, 4));
}

async function find(note, name, type, key) {
  const keyId = await keyIdOf(name, type, key);
  const found = note.signatures.find((each) => each.name === name && each.keyId === keyId);
  if (!found) throw new VerificationFailed(`no signature of ${name} by this key`, "checkpoint");
  return found.signature;
}

export async function verifyNoteSignature(note, name, key) {
  await verifySignature(key, utf8(note.text), await find(note, name, NOTE_KEY, key));
}

// When this key co-signed the note, in Unix seconds.
export async function verifyCosignature(note, name, key) {
  const timed = await find(note, name, COSIGNATURE_KEY, key);
  const time = timed.subarray(0, 8).reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
  if (time > COSIGNED_AT_MAX) {
    throw new VerificationFailed(`${name} co-signed at an impossible time`, "checkpoint");
  }
  await verifySignature(key, utf8(`cosignature/v1\ntime ${time}\n${note.text}`), timed.subarray(8));
  return Number(time);
}

// `name+hexid+base64(type||key)`, as C2SP's tools print and read it.
export async function formatVkey({ name, type, key }) {
  const typed = concat(Uint8Array.of(type), key);
  return `${name}+${await keyIdOf(name, type, key)}+${base64(typed)}`;
}

export async function parseVkey(text) {
  const [, name, encoded] = /^([^+]*)\+[^+]*\+(.*)$/s.exec(text) ?? [null, text, ""];
  checkName(name);
  const typed = fromBase64(encoded);
  if (typed.length !== 33 || ![NOTE_KEY, COSIGNATURE_KEY].includes(typed[0])) {
    throw new Malformed("not an Ed25519 key for notes or co-signatures");
  }
  const found = { name, type: typed[0], key: typed.subarray(1) };
  if ((await formatVkey(found)) !== text) throw new Malformed("the key id is not that of the key");
  return found;
}

export function sameKey(left, right) {
  return left.name === right.name && left.type === right.type && equal(left.key, right.key);
}
