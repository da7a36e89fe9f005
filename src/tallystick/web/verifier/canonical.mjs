// One value, one byte string: canonical JSON (RFC 8785 without floats) and closed records.
//
// A shape describes a value: `read` gives it with bytes for base64 and every default filled in, and
// keeps in `json` what stood in the text. See docs/spec/encoding.md.

import { fromBase64, fromUtf8, utf8 } from "./bytes.mjs";
import { Malformed } from "./errors.mjs";

export const INTEGER_MAX = Number.MAX_SAFE_INTEGER;
export const DOCUMENT_BYTES_MAX = 4 * 1024 * 1024;
const DEPTH_MAX = 32;

// ------------------------------------------------------------------------------------- shapes

export const int = (min, max) => ({ type: "int", min, max });
export const text = (pattern, max = null, min = 0) => ({ type: "str", pattern, max, min });
export const bytes = (min, max = min) => ({ type: "bytes", min, max });
export const list = (of, max = null, min = 0) => ({ type: "list", of, min, max });
export const dict = (key, of) => ({ type: "dict", key, of });
export const literal = (...values) => ({ type: "literal", values });
export const bool = { type: "bool" };
export const json = { type: "any" };
export const object = { type: "object" };
export const optional = (of, absent = null) => ({ type: "optional", of, absent });
export const record = (fields) => ({ type: "record", fields });

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

// `strict`: a default that is spelled out, and spare bits of base64, are refused.
export function read(shape, value, path = "", strict = true) {
  return READERS[shape.type](shape, value, path, strict);
}

function fail(what, path) {
  throw new Malformed(`expected ${what}`, path);
}

function below(path, name) {
  return path ? `${path}/${name}` : String(name);
}

const READERS = {
  int({ min, max }, value, path) {
    if (!Number.isSafeInteger(value) || value < min || value > max) {
      fail(`an integer from ${min} to ${max}`, path);
    }
    return value;
  },
  str({ pattern, max, min }, value, path) {
    if (typeof value !== "string" || (pattern !== null && !pattern.test(value))) {
      fail(pattern === null ? "text" : `text like ${pattern.source}`, path);
    }
    if (value.length < min || (max !== null && value.length > max && [...value].length > max)) {
      fail(`${min} to ${max} characters`, path);
    }
    return value;
  },
  bytes({ min, max }, value, path, strict) {
    if (typeof value !== "string") fail("bytes in base64", path);
    const data = fromBase64(value, strict);
    if (data.length < min || data.length > max) fail(`${min} to ${max} bytes`, path);
    return data;
  },
  list({ of, min, max }, value, path, strict) {
    if (!Array.isArray(value) || value.length < min || (max !== null && value.length > max)) {
      fail("a list of fitting length", path);
    }
    return value.map((each, at) => read(of, each, below(path, at), strict));
  },
  dict({ key, of }, value, path, strict) {
    if (!isObject(value)) fail("an object", path);
    const found = Object.create(null);
    for (const [name, each] of Object.entries(value)) {
      found[read(key, name, path)] = read(of, each, below(path, name), strict);
    }
    return found;
  },
  literal({ values }, value, path) {
    if (!values.includes(value)) fail(values.join(" or "), path);
    return value;
  },
  bool(_shape, value, path) {
    if (typeof value !== "boolean") fail("true or false", path);
    return value;
  },
  any(_shape, value) {
    checkPlain(value, DEPTH_MAX - 1);
    return value;
  },
  object(_shape, value, path) {
    if (!isObject(value)) fail("an object", path);
    checkPlain(value);
    return value;
  },
  optional({ of, absent }, value, path, strict) {
    if (strict && isDefault(value, absent)) fail("a member at its default to be absent", path);
    return value === null && absent === null ? null : read(of, value, path, strict);
  },
  record({ fields }, value, path, strict) {
    if (!isObject(value)) fail("an object", path);
    for (const name of Object.keys(value)) {
      if (!Object.hasOwn(fields, name)) fail("no further member", below(path, name));
    }
    const found = { json: value };
    for (const [name, shape] of Object.entries(fields)) {
      if (Object.hasOwn(value, name)) {
        found[name] = read(shape, value[name], below(path, name), strict);
      } else if (shape.type === "optional") {
        found[name] = shape.absent;
      } else {
        fail("a member that is not there", below(path, name));
      }
    }
    return found;
  },
};

function isDefault(value, absent) {
  if (absent === null || typeof absent !== "object") return value === absent;
  if (typeof value !== "object" || value === null) return false;
  return Array.isArray(value) === Array.isArray(absent) && Object.keys(value).length === 0;
}

// ----------------------------------------------------------------------------------- encoding

// The canonical text of a value of JSON.
export function stringify(value) {
  if (Array.isArray(value)) return `[${value.map(stringify).join(",")}]`;
  if (isObject(value)) {
    const members = Object.keys(value).sort();
    return `{${members.map((name) => `${quoted(name)}:${stringify(value[name])}`).join(",")}}`;
  }
  if (typeof value === "string") return quoted(value);
  if (typeof value === "number" && !Number.isSafeInteger(value)) {
    throw new Malformed("a number with a fraction or exponent, or beyond 2^53 - 1");
  }
  return String(value);
}

function quoted(value) {
  if (!value.isWellFormed()) throw new Malformed("half of a surrogate pair");
  return JSON.stringify(value);
}

export function encode(value) {
  return utf8(stringify(value));
}

// Refuse what the profile lacks in untyped values: depth, names beyond ASCII; and odd numbers.
export function checkPlain(value, depth = DEPTH_MAX) {
  if (typeof value === "number" && !Number.isSafeInteger(value)) {
    throw new Malformed("a number with a fraction or exponent, or beyond 2^53 - 1");
  }
  if (typeof value !== "object" || value === null) return;
  if (!depth) throw new Malformed("nested too deeply");
  for (const [name, member] of Object.entries(value)) {
    if (!/^[\0-\x7f]*$/.test(name)) throw new Malformed("a name that is not ASCII");
    checkPlain(member, depth - 1);
  }
}

// Read `data` as the one encoding of a value of this shape.
export function decode(data, shape) {
  if (data.length > DOCUMENT_BYTES_MAX) {
    throw new Malformed(`${data.length} bytes, more than ${DOCUMENT_BYTES_MAX}`);
  }
  const source = fromUtf8(data);
  let value;
  try {
    value = JSON.parse(source);
  } catch {
    throw new Malformed("not JSON");
  }
  const found = read(shape, value);
  if (stringify(value) !== source) {
    throw new Malformed("not the canonical encoding of this value");
  }
  return found;
}

// Type what was already parsed.
export function narrow(value, shape, path = "") {
  return read(shape, value, path, false);
}

// ------------------------------------------------------------------------------------ instants

const INSTANT = /^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$/;

// Seconds since 1970 of an instant like 2026-01-31T09:00:00Z.
export function parseInstant(value) {
  const seconds = INSTANT.test(value) ? Date.parse(value) / 1000 : NaN;
  if (!(seconds >= 0) || formatInstant(seconds) !== value) {
    throw new Malformed(`${value.slice(0, 40)} is not an instant like 2026-01-31T09:00:00Z`);
  }
  return seconds;
}

export function formatInstant(seconds) {
  return `${new Date(seconds * 1000).toISOString().slice(0, 19)}Z`;
}
