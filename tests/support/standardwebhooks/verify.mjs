// Reads messages, one JSON object in a line, and says of each whether npm's standardwebhooks takes it for genuine.
import { Webhook } from "standardwebhooks";
import { readFileSync } from "node:fs";

const verdicts = readFileSync(0, "utf8")
  .split("\n")
  .filter(Boolean)
  .map((line) => {
    const { headers, body, secret } = JSON.parse(line);
    try {
      new Webhook(secret).verify(Buffer.from(body, "hex"), headers);
      return true;
    } catch {
      return false;
    }
  });
console.log(JSON.stringify(verdicts));
