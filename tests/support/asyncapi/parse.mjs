// Reads an AsyncAPI document from standard input: prints what is wrong with it and ends with 1, or how much there is.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const { document, diagnostics } = await new Parser().parse(readFileSync(0, "utf8"));
const errors = diagnostics.filter((one) => one.severity === 0);
for (const one of errors) console.error(`${one.path.join("/")}: ${one.message}`);
if (errors.length || !document) process.exit(1);
console.log(`${document.channels().all().length} channels`);
