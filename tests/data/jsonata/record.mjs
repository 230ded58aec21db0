// Writes what the reference implementation gives for every expression: npm install jsonata@2.2.2 && node record.mjs
import { readFileSync, writeFileSync } from "node:fs";
import jsonata from "jsonata";

const file = new URL("cases.json", import.meta.url);
const suite = JSON.parse(readFileSync(file, "utf8"));

async function outcome(expression) {
  try {
    const found = await jsonata(`($i := $states.input; ${expression})`).evaluate(undefined, { states: { input: structuredClone(suite.input) } });
    if (found === undefined) return { undefined: true };
    const text = JSON.stringify(found, (_, value) => (typeof value === "function" || value?._jsonata_function ? "" : value));
    return { value: JSON.parse(text) };
  } catch (error) {
    return { error: error.code ?? String(error) };
  }
}

for (const one of suite.cases) {
  for (const key of ["value", "undefined", "error"]) delete one[key];
  Object.assign(one, await outcome(one.expression));
}
const lines = suite.cases.map((one) => JSON.stringify(one)).join(",\n");
writeFileSync(file, `{"input": ${JSON.stringify(suite.input)}, "cases": [\n${lines}\n]}\n`);
