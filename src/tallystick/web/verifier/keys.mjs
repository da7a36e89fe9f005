// Ed25519 under one strict rule: encodings are checked here first, so that no library's leniency
// decides; WebCrypto does the curve. See docs/spec/keys.md.

import { fromBase64, hex, unhex, utf8 } from "./bytes.mjs";
import { Unsupported, VerificationFailed } from "./errors.mjs";

const FIELD_PRIME = 2n ** 255n - 19n;
const GROUP_ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;
const SMALL_ORDER_Y = [
  0n,
  1n,
  FIELD_PRIME - 1n,
  littleEndian(unhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")),
  littleEndian(unhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")),
];

function littleEndian(data) {
  return BigInt(`0x${hex(data.toReversed())}`);
}

// Refuse what is not the one encoding of a point, and the points of small order.
export function checkPoint(encoding, what) {
  if (encoding.length !== 32) {
    throw new VerificationFailed(`${what} has ${encoding.length} bytes, not 32`);
  }
  const y = BigInt.asUintN(255, littleEndian(encoding));
  if (y >= FIELD_PRIME) throw new VerificationFailed(`${what} is not a canonical point`);
  if (SMALL_ORDER_Y.includes(y)) {
    throw new VerificationFailed(`${what} is a point of small order`);
  }
}

export async function verifySignature(key, message, signature) {
  if (signature.length !== 64) {
    throw new VerificationFailed(`signature has ${signature.length} bytes, not 64`);
  }
  checkPoint(key, "public key");
  checkPoint(signature.subarray(0, 32), "signature's R");
  if (littleEndian(signature.subarray(32)) >= GROUP_ORDER) {
    throw new VerificationFailed("signature's S is not below the group order");
  }
  if (!(await curveSaysYes(key, message, signature))) {
    throw new VerificationFailed("signature does not verify");
  }
}

async function curveSaysYes(key, message, signature) {
  try {
    const imported = await crypto.subtle.importKey("raw", key, "Ed25519", false, ["verify"]);
    return (await crypto.subtle.verify("Ed25519", imported, signature, message)) === true;
  } catch (error) {
    if (error.name === "NotSupportedError") throw new Unsupported("no Ed25519");
    return false; // no point of the curve
  }
}

// RFC 8032 test 1; and a signature that holds only after multiplication by eight.
const KNOWN = [
  [
    "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
    "",
    "5VZDAMNgrHKQhuLMgG6CioSHfx645dl02HPgZSJJAVVfuIIVkKM7rMYeOXAc+bRr0lv18FlbviRlUUFDjnoQCw==",
    true,
  ],
  [
    "QKTPXGEdc3ovHG/MqE2cq/7YCYfxhqWmxX5im/8a8n8=",
    "0",
    "Kyj98ziKkFUe+5fPd8tlhnsCZ9rI6j8pHmv3T1/oQL80E3aomg4I39Wq+uJqG3p9wXr0gzkse8Nr4qdZqJpKDA==",
    false,
  ],
];

// Why this browser cannot verify: "insecure", "no-ed25519", "lenient"; or "" if it can.
export async function whyUnsupported() {
  if (!globalThis.crypto?.subtle) return "insecure";
  if (!Uint8Array.prototype.toReversed || !String.prototype.isWellFormed) return "no-ed25519";
  for (const [key, message, signature, valid] of KNOWN) {
    const data = [fromBase64(key), utf8(message), fromBase64(signature)];
    const holds = await verifySignature(...data).then(() => true, () => false);
    if (holds !== valid) return valid ? "no-ed25519" : "lenient";
  }
  return "";
}
