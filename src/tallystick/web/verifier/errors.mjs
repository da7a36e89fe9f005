// The kinds of failure, as docs/spec/errors.md names them. `path` names the field, or the step.

export class Malformed extends Error {
  constructor(detail, path = "") {
    super(detail);
    this.path = path;
  }
}

export class VerificationFailed extends Error {
  constructor(detail, path = "") {
    super(detail);
    this.path = path;
  }
}

// Nothing follows from what was given; more may prove it.
export class NotDecidable extends VerificationFailed {}

// True, but not to be acted on: by this reader, for this purpose, or now.
export class Unfit extends VerificationFailed {
  constructor(verdict, detail, shown) {
    super(detail);
    this.verdict = verdict;
    this.shown = shown;
  }
}

// This browser cannot verify Ed25519: says nothing about any document.
export class Unsupported extends Error {}
