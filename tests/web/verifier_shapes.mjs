// Prints the record shapes of the JavaScript verifier as JSON, patterns as their source: node
// verifier_shapes.mjs FOLDER.

import { pathToFileURL } from "node:url";

const folder = pathToFileURL(`${process.argv[2]}/`);
const found = {};
for (const name of ["shapes.mjs", "bills.mjs"]) {
  for (const [key, value] of Object.entries(await import(new URL(name, folder)))) {
    if (value.type === "record") found[`${name}:${key}`] = value;
    if (key === "equivocations") {
      for (const [tag, shape] of Object.entries(value)) found[`${name}:${tag}`] = shape;
    }
  }
}
const plain = (_key, value) => (value instanceof RegExp ? value.source : value);
process.stdout.write(JSON.stringify(found, plain));
