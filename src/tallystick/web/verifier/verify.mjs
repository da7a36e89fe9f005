// One door for every kind of document: what it is, what becomes of it, and at which step.

import { DOCUMENT_BYTES_MAX } from "./canonical.mjs";
import { verifyEquivocation } from "./equivocation.mjs";
import { Malformed, Unfit, VerificationFailed } from "./errors.mjs";
import { Presentations, verifySlip } from "./presentation.mjs";
import { Verifier } from "./receipt.mjs";
import { policyKeys } from "./trust.mjs";
import { EXIT_CODES } from "./verdict.mjs";

// A string cannot hold these quotes unescaped; the first that is found says the kind, because a
// presentation has receipts and state proofs within.
const FORMATS = [
  ["slip", '"format":"tallystick/split-slip/v1"'],
  ["presentation", '"format":"tallystick/presentation/v1"'],
  ["status", '"format":"tallystick/status/v1"'],
  ["equivocation", '"format":"tallystick/equivocation/v1"'],
  ["state", '"format":"tallystick/state-proof/v1"'],
  ["policy", '"format":"tallystick/trust/v1"'],
];

export function kindOf(data) {
  const source = new TextDecoder().decode(data);
  const found = FORMATS.find(([, format]) => source.includes(format));
  if (found) return found[0];
  return source.startsWith("{") ? "receipt" : "note";
}

// Verifies documents under one policy. `asked`: {status, now, about, audience, purpose}.
export class Checker {
  constructor(policy, checkpoint = null) {
    this.policy = policy;
    this.checkpoint = checkpoint;
    this.verifier = new Verifier(policy, checkpoint);
    this.presentations = new Presentations(policy, checkpoint);
  }

  // {kind, verdict, exit, steps, found, failure}; throws only where this browser cannot verify.
  async check(data, asked, kind = kindOf(data)) {
    try {
      if (data.length > DOCUMENT_BYTES_MAX) {
        throw new Malformed(`${data.length} bytes, more than ${DOCUMENT_BYTES_MAX}`);
      }
      const found = await this.verify(data, asked, kind);
      const about = asked.about ?? null;
      const other = found.bill && about !== null && about !== found.bill.id;
      return outcome(kind, other ? "OTHER" : found.verdict, found, null);
    } catch (error) {
      if (error instanceof Unfit) return outcome(kind, error.verdict, error.shown, error);
      if (error instanceof VerificationFailed) return outcome(kind, "FALSE", null, error);
      if (error instanceof Malformed) return outcome(kind, "UNREADABLE", null, error);
      throw error;
    }
  }

  async verify(data, asked, kind) {
    switch (kind) {
      case "slip":
        return verifySlip(data, this.policy, { now: asked.now, checkpoint: this.checkpoint });
      case "presentation":
        return this.presentations.verify(data, asked);
      case "equivocation": {
        const found = await verifyEquivocation(data, policyKeys(this.policy));
        return { ...found, verdict: "PROVEN", steps: [] };
      }
      case "status":
        return this.verifier.status(data, asked);
      case "state":
        return this.verifier.state(data, asked);
      case "receipt":
        return this.verifier.receipt(data, asked);
      case "note":
        return this.verifier.checkpoint(data);
      default:
        throw new Malformed("nothing that is verified");
    }
  }
}

function outcome(kind, verdict, found, failure) {
  const steps = found?.steps ?? failure?.held ?? [];
  return { kind, verdict, exit: EXIT_CODES[verdict], steps, found, failure };
}

// The text of a document that came by file: one newline at the end belongs to no JSON.
export function withoutNewline(data) {
  const isJson = data[0] === 0x7b && data.at(-1) === 0x0a;
  return isJson ? data.subarray(0, -1) : data;
}
