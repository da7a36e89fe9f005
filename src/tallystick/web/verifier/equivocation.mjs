// Proofs that one signer vouched for two histories. See docs/spec/equivocation.md.

import { base64, equal, utf8 } from "./bytes.mjs";
import { decode, dict, encode, formatInstant, json, parseInstant, text } from "./canonical.mjs";
import { COSIGNATURE_KEY, formatVkey, parseNote, parseVkey, sameKey, verifyCosignature, verifyNoteSignature } from "./checkpoint.mjs";
import { Malformed, NotDecidable, VerificationFailed } from "./errors.mjs";
import { leafHash, verifyConsistency, verifyPath } from "./merkle.mjs";
import { equivocations } from "./shapes.mjs";

export const PROOF_BYTES_MAX = 64 * 1024;
const CLOCK_SLACK_SECONDS = 60;

function readProof(data) {
  if (data.length > PROOF_BYTES_MAX) {
    throw new Malformed(`proof has ${data.length} bytes, more than ${PROOF_BYTES_MAX}`);
  }
  const { proof } = decode(data, dict(text(null), json));
  if (!Object.hasOwn(equivocations, proof)) throw new Malformed("no such kind", "proof");
  return decode(data, equivocations[proof]);
}

// What a proof proves about one of `keys`: 1. a known key  2. it signed both  3. a contradiction.
export async function verifyEquivocation(data, keys) {
  const proof = readProof(data);
  const signer = await parseVkey(proof.signer);
  if (!keys.some((key) => sameKey(key, signer))) {
    throw new VerificationFailed(`${signer.name} is none of the keys asked about`, "signer");
  }
  const first = await signed(proof.first, signer, "first");
  const second = await signed(proof.second, signer, "second");
  if (first.origin !== second.origin) {
    throw new VerificationFailed("checkpoints of two logs", "second");
  }
  const finding = await CONTRADICTIONS[proof.proof](proof, first, second);
  return { kind: proof.proof, signer, finding };
}

// The checkpoint that `signer` signed, and when, where its kind of key says so.
async function signed(source, signer, path) {
  const note = parseNote(utf8(source));
  if (signer.type === COSIGNATURE_KEY) {
    return { ...note.checkpoint, at: await verifyCosignature(note, signer.name, signer.key) };
  }
  if (signer.name !== note.checkpoint.origin) {
    throw new VerificationFailed("a log key signs as its origin", path);
  }
  await verifyNoteSignature(note, signer.name, signer.key);
  return { ...note.checkpoint, at: null };
}

const CONTRADICTIONS = {
  two_roots(_proof, first, second) {
    if (first.size !== second.size) {
      throw new NotDecidable("not decidable, needs tiles or receipts");
    }
    if (equal(first.root, second.root)) {
      throw new VerificationFailed("one size and one root: no contradiction", "second");
    }
    return `two roots of size ${first.size}`;
  },
  async other_prefix(proof, first, second) {
    const { prefix_root: prefix, path } = proof;
    await verifyConsistency(first.size, prefix, second.size, second.root, path);
    if (equal(prefix, first.root)) {
      throw new VerificationFailed("the larger log begins with the smaller", "prefix_root");
    }
    return `size ${second.size} does not begin with what was signed as size ${first.size}`;
  },
  async two_leaves(proof, first, second) {
    const { index, first_leaf: one, second_leaf: two } = proof;
    if (equal(one, two)) {
      throw new VerificationFailed("one index and one leaf: no contradiction", "second_leaf");
    }
    await verifyPath(one, index, first.size, proof.first_path, first.root);
    await verifyPath(two, index, second.size, proof.second_path, second.root);
    return `two leaves at index ${index}`;
  },
  async hidden(proof, first, second) {
    const { index, block_leaf: block, path } = proof;
    if (first.at === null) {
      throw new VerificationFailed("a log key does not say when it signed", "signer");
    }
    if (index < first.size) {
      throw new VerificationFailed("the block lies within the first checkpoint", "index");
    }
    await verifyPath(await leafHash(encode(block.json)), index, second.size, path, second.root);
    if (parseInstant(block.at) + CLOCK_SLACK_SECONDS >= first.at) {
      throw new VerificationFailed("the block is not older than the co-signature", "block_leaf");
    }
    const known = formatInstant(first.at);
    return `knew nothing beyond size ${first.size} at ${known}, but a block of ${block.at}`;
  },
};

// The first proof of this kind that holds for any of `keys`; its bytes.
async function prove(kind, first, second, keys, more = {}) {
  let failure = new VerificationFailed("no key to ask about");
  for (const key of keys) {
    const data = encode({
      format: "tallystick/equivocation/v1",
      proof: kind,
      signer: await formatVkey(key),
      first,
      second,
      ...more,
    });
    try {
      await verifyEquivocation(data, [key]);
      return data;
    } catch (error) {
      if (!(error instanceof VerificationFailed)) throw error;
      failure = error;
    }
  }
  throw failure;
}

// A proof out of two documents, whatever they contradict each other in. Each is {note, receipt,
// state}: the text of its note, and of what else it is, the read record or null.
export async function proveEquivocation(one, two, keys) {
  if (one.receipt && two.receipt && one.receipt.index === two.receipt.index) {
    return prove("two_leaves", one.note, two.note, keys, {
      index: one.receipt.index,
      first_leaf: base64(await leafHash(encode(one.receipt.entry.json))),
      first_path: one.receipt.json.log_path,
      second_leaf: base64(await leafHash(encode(two.receipt.entry.json))),
      second_path: two.receipt.json.log_path,
    });
  }
  const sizes = [one, two].map(({ note }) => parseNote(utf8(note)).checkpoint.size);
  if (sizes[0] === sizes[1]) return prove("two_roots", one.note, two.note, keys);
  const [first, second] = sizes[0] < sizes[1] ? [one, two] : [two, one];
  if (!second.state) throw new NotDecidable("not decidable, needs tiles or receipts");
  try {
    return await prove("hidden", first.note, second.note, keys, {
      index: Math.max(...sizes) - 1,
      block_leaf: second.state.json.block_leaf,
      path: second.state.json.block_path,
    });
  } catch (error) {
    if (!(error instanceof VerificationFailed)) throw error;
    throw new NotDecidable("not decidable, needs tiles or receipts");
  }
}
