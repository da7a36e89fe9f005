// Runs `verifier_outcomes.js` (or another expression) on the job that stands in a file: node
// verifier_node.mjs LIBRARY EXPRESSION JOB prints its answer as JSON.

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [libraryFile, expressionFile, jobFile] = process.argv.slice(2);
const { library } = await import(pathToFileURL(libraryFile));
const run = (0, eval)(readFileSync(expressionFile, "utf8"));
process.stdout.write(JSON.stringify(await run(library, JSON.parse(readFileSync(jobFile, "utf8")))));
