// Receipts a second of the JavaScript verifier, in Node and in a page alike. Some at once, since each
// hash and signature is a call that is waited for; signatures that receipts share are verified once.
async (library, { receipts, policy, seconds }) => {
  const AT_ONCE = 32;
  const documents = receipts.map((text) => library.fromBase64(text));
  const trusted = library.readTrust(library.fromBase64(policy));
  const pass = async () => {
    const checker = new library.Checker(trusted);
    let at = 0;
    const next = async () => {
      while (at < documents.length) {
        const { exit } = await checker.check(documents[at++], { status: false, now: null, about: null }, "receipt");
        if (exit) throw new Error("a receipt of the benchmark does not verify");
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, next));
  };
  await pass(); // warm
  const start = performance.now();
  let passes = 0;
  do {
    await pass();
    passes += 1;
  } while (performance.now() - start < 1000 * seconds);
  return (passes * documents.length * 1000) / (performance.now() - start);
}
