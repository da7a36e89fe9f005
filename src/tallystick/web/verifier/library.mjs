// Everything that another program or a test may call, in one object.

import { base64, equal, fromBase64, hex, sha256, tagged, unhex, utf8 } from "./bytes.mjs";
import { decode, encode, formatInstant, narrow, object, parseInstant, stringify } from "./canonical.mjs";
import { parseCheckpoint, parseNote, parseVkey, verifyCosignature, verifyNoteSignature } from "./checkpoint.mjs";
import { proveEquivocation, verifyEquivocation } from "./equivocation.mjs";
import { Malformed, NotDecidable, VerificationFailed } from "./errors.mjs";
import { verifySignature, whyUnsupported } from "./keys.mjs";
import { leafHash, rootFromPath, rootFromSome, verifyConsistency, verifyPath } from "./merkle.mjs";
import { parseDisclosure } from "./presentation.mjs";
import { Verifier, readReceipt, readState } from "./receipt.mjs";
import { commitFields } from "./rights.mjs";
import { blockLeaf, entry, mapProof } from "./shapes.mjs";
import { pageRoot, verifyAbsent, verifyPresent } from "./state.mjs";
import { policyKeys, readTrust } from "./trust.mjs";
import { EXIT_CODES, worst } from "./verdict.mjs";
import { Checker, kindOf, withoutNewline } from "./verify.mjs";

export const library = Object.freeze({
  Checker, EXIT_CODES, Malformed, NotDecidable, VerificationFailed, Verifier,
  base64, blockLeaf, commitFields, decode, encode, entry, equal, formatInstant, fromBase64, hex,
  kindOf, leafHash, mapProof, narrow, object, pageRoot, parseCheckpoint, parseDisclosure,
  parseInstant, parseNote, parseVkey, policyKeys, proveEquivocation, readReceipt, readState,
  readTrust, rootFromPath, rootFromSome, sha256, stringify, tagged, unhex, utf8, verifyAbsent,
  verifyConsistency, verifyCosignature, verifyEquivocation, verifyNoteSignature, verifyPath,
  verifyPresent, verifySignature, whyUnsupported, withoutNewline, worst,
});
