// What each refusal means: [zh, what to do, en, what to do], by its code. `bundle` fills it in.

export const REASONS = {};
