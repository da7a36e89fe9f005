// What the JavaScript verifier makes of many documents, for Node and for a page alike: an expression,
// a function of the library and a job {documents, policies, texts, keys, ...}.
async (library, job) => {
  const bytes = (text) => library.fromBase64(text);
  const policies = job.policies.map((text) => library.readTrust(bytes(text)));

  const refusal = async (work) => {
    try {
      await work();
      return null;
    } catch (error) {
      if (error instanceof library.Malformed) return "Malformed";
      if (error instanceof library.VerificationFailed) return "VerificationFailed";
      throw error;
    }
  };

  const outcome = async ({ data, kind, policy, checkpoint, ...asked }) => {
    const questions = { now: null, about: null, status: false, ...asked };
    const at_hand = checkpoint === undefined ? null : bytes(checkpoint);
    const checker = new library.Checker(policies[policy], at_hand);
    const { verdict, exit, steps, found, failure } = await checker.check(bytes(data), questions, kind);
    return {
      verdict,
      exit,
      step: failure?.step ?? null,
      path: failure && !failure.shown ? failure.path : "",
      steps: verdict === "FALSE" || verdict === "UNREADABLE" ? [] : steps.map((each) => [each.number, each.what, each.finding]),
      as_of: found?.asOf ?? null,
      orgs: found?.orgs ?? [],
      kind: found?.kind ?? null,
      warnings: found?.warnings ?? [],
      detail: failure?.message ?? found?.detail ?? "",
    };
  };

  const documents = [];
  for (const each of job.documents) documents.push(await outcome(each));
  return {
    documents,
    kinds: job.documents.map(({ data }) => library.kindOf(bytes(data))),
    texts: await Promise.all(
      job.texts.map((data) => refusal(() => library.decode(bytes(data), library.object))),
    ),
    instants: await Promise.all(
      job.instants.map(async (text) => (await refusal(() => library.parseInstant(text))) ?? library.parseInstant(text)),
    ),
    keys: await Promise.all(
      job.keys.map(({ key, message, signature }) =>
        refusal(() => library.verifySignature(...[key, message, signature].map(library.unhex))),
      ),
    ),
  };
}
