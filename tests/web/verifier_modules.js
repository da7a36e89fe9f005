// The vectors of modules/, for Node and for a page alike: what does not hold, as texts.
async (library, { modules, equivocations }) => {
  const { unhex, hex, utf8, equal, fromBase64 } = library;
  const wrong = [];
  const holds = async (what, work) => {
    try {
      const held = await work();
      if (held === false) wrong.push(what);
    } catch (error) {
      wrong.push(`${what}: ${error.message}`);
    }
  };
  const all = (hashes) => hashes.map(unhex);

  const { merkle, page, map, presentation, body } = modules;
  const leaves = await Promise.all(all(merkle.leaves).map(library.leafHash));
  const roots = all(merkle.roots);
  for (const { index, size, path } of merkle.inclusion) {
    await holds(`inclusion ${index}`, () =>
      library.verifyPath(leaves[index], index, size, all(path), roots[size]),
    );
  }
  for (const { old, new: size, path } of merkle.consistency) {
    await holds(`consistency ${old} ${size}`, () =>
      library.verifyConsistency(old, roots[old], size, roots[size], all(path)),
    );
  }

  const rows = {};
  const empty = await library.tagged("tallystick/empty-slot/v1\n");
  for (const { written, paths, root } of page.steps) {
    Object.assign(rows, written);
    for (const [slot, path] of Object.entries(paths)) {
      const held = slot in rows ? await library.tagged("tallystick/slot/v1\n", utf8(rows[slot])) : empty;
      const found = await library.pageRoot(Number(slot), held, all(path));
      await holds(`page slot ${slot}`, () => hex(found) === root);
    }
  }

  const kept = {};
  for (const { put, dropped, root, proofs } of map.steps) {
    Object.assign(kept, put);
    for (const key of dropped) delete kept[key];
    for (const [key, members] of Object.entries(proofs)) {
      const proof = library.narrow(members, library.mapProof);
      const keyHash = await library.tagged("tallystick/key/v1\n", utf8(key));
      await holds(`map ${key}`, async () => {
        if (!(key in kept)) return library.verifyAbsent(unhex(root), keyHash, proof);
        const rowHash = await library.tagged("tallystick/row/v1\n", utf8(kept[key]));
        return library.verifyPresent(unhex(root), keyHash, rowHash, proof);
      });
    }
  }

  for (const each of modules.checkpoint) {
    const note = library.parseNote(utf8(each.note));
    const [log, keeper] = [await library.parseVkey(each.log_key), await library.parseVkey(each.keeper_key)];
    await holds("checkpoint text", () => note.text === each.text && note.checkpoint.size === each.size);
    await holds("checkpoint root", () => hex(note.checkpoint.root) === each.root);
    await holds("log signature", () => library.verifyNoteSignature(note, log.name, log.key));
    await holds("co-signature", async () => {
      const time = await library.verifyCosignature(note, keeper.name, keeper.key);
      return library.formatInstant(time) === each.cosigned_at;
    });
  }

  const hashed = await Promise.all(presentation.leaves.map((leaf) => library.leafHash(utf8(leaf))));
  for (const { indices, size, proof, root } of presentation.proofs) {
    await holds(`some of ${size}`, async () => {
      const shown = indices.map((index) => hashed[index]);
      return hex(await library.rootFromSome(shown, indices, size, all(proof))) === root;
    });
  }
  for (const { salt, patterns, digest } of presentation.fields) {
    await holds("fields", async () => {
      const fields = { salt: unhex(salt), json: { paths: patterns.toSorted() } };
      return hex(await library.commitFields(fields)) === digest;
    });
  }
  for (const { disclosures, path_of_last: path, root, paths } of body) {
    await holds("disclosures", () =>
      disclosures.every((text, at) => library.parseDisclosure(text).path === paths[at]),
    );
    await holds("the last disclosure", async () => {
      const last = disclosures.length - 1;
      const leaf = await library.leafHash(await library.sha256(utf8(disclosures[last])));
      return library.verifyPath(leaf, last, last + 1, all(path), unhex(root));
    });
  }

  const proofs = [];
  for (const { first, second, policy } of equivocations) {
    const parts = [first, second].map((text) => {
      const data = fromBase64(text);
      if (library.kindOf(data) === "note") return { note: new TextDecoder().decode(data), receipt: null, state: null };
      const receipt = library.readReceipt(data);
      return { note: receipt.checkpoint, receipt, state: receipt.state };
    });
    const keys = library.policyKeys(library.readTrust(fromBase64(policy)));
    try {
      proofs.push(library.base64(await library.proveEquivocation(...parts, keys)));
    } catch (error) {
      proofs.push(error instanceof library.NotDecidable ? "NotDecidable" : error.message);
    }
  }
  return { wrong, proofs };
}
