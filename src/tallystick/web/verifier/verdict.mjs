// What to do with a document. `exit` is the exit code of `tally verify`: 0 act on it, 1 false,
// 2 cannot be read, 3 authentic but not to be acted on. See docs/spec/receipt.md.

export const EXIT_CODES = {
  GOOD: 0,
  ACCEPTED: 0,
  REFUSED: 3,
  NOT_GOOD: 3,
  EXPIRED: 3,
  ABSENT: 3,
  STALE: 3,
  OTHER: 3,
  NOT_FOR_YOU: 3,
  NO_STATUS: 3,
  FALSE: 1,
  UNREADABLE: 2,
  // Of what `tally verify` gives no verdict: a checkpoint by itself, a proof of equivocation.
  VOUCHED: 0,
  PROVEN: 0,
};

export const CLOCK_AHEAD_SECONDS_MAX = 60;

// Of many documents the worst counts: false, then unreadable, then not to be acted on.
export function worst(verdicts) {
  const order = [0, 3, 2, 1];
  const ranks = verdicts.map((name) => order.indexOf(EXIT_CODES[name]));
  return ranks.length ? order[Math.max(...ranks)] : 2;
}

export function isFresh(ageSeconds, policy) {
  return ageSeconds >= -CLOCK_AHEAD_SECONDS_MAX && ageSeconds <= policy.status_max_age_seconds;
}
