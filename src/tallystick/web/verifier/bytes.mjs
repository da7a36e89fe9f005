// Bytes and their texts: UTF-8, hex, base64, SHA-256. Every spelling but the one is refused.

import { Malformed } from "./errors.mjs";

const ENCODER = new TextEncoder();
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const CHUNK = 8192;

export function utf8(text) {
  return ENCODER.encode(text);
}

export function fromUtf8(data) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(data);
  } catch {
    throw new Malformed("not UTF-8");
  }
}

export function concat(...parts) {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

export function equal(left, right) {
  return left.length === right.length && left.every((byte, at) => byte === right[at]);
}

export function hex(data) {
  return Array.from(data, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function unhex(text) {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

export function base64(data) {
  let text = "";
  for (let at = 0; at < data.length; at += CHUNK) {
    text += String.fromCharCode(...data.subarray(at, at + CHUNK));
  }
  return btoa(text);
}

// The bytes, whatever the spare bits are: `canonical` refuses those that are not zero.
export function fromBase64(text, canonical = true) {
  if (!BASE64.test(text)) throw new Malformed("not base64");
  const data = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  if (canonical && base64(data) !== text) throw new Malformed("not the one base64 of these bytes");
  return data;
}

// base64url without padding, as in RFC 9901.
export function fromBase64url(text) {
  if (!/^[A-Za-z0-9_-]*$/.test(text)) throw new Malformed("not base64url");
  const padding = "=".repeat((4 - (text.length % 4)) % 4);
  return fromBase64(text.replaceAll("-", "+").replaceAll("_", "/") + padding);
}

export async function sha256(...parts) {
  const data = parts.length === 1 ? parts[0] : concat(...parts);
  return new Uint8Array(await crypto.subtle.digest("SHA-256", data));
}

// SHA-256 behind a context line: what is hashed for one use is never valid in another.
export function tagged(context, ...parts) {
  return sha256(utf8(context), ...parts);
}
