// Sends every example of one of GitHub's forms as GitHub would, and prints for each a line of JSON with the answer.
// Words: address, secret, form (api.github.com, ghes-35, ...), and what a deployment's maker put into its payload, as JSON.
import { randomUUID } from "node:crypto";
import { createRequire } from "node:module";

import { sign } from "@octokit/webhooks-methods";

const [url, secret, form, payload] = process.argv.slice(1);
const events = createRequire(`${process.cwd()}/`)(`@octokit/webhooks-examples/${form}/index.json`);

for (const { name, examples } of events) {
  for (const example of examples) {
    if (payload && example.deployment) {
      example.deployment.payload = JSON.parse(payload);
    }
    const body = JSON.stringify(example);
    const headers = {
      "Content-Type": "application/json",
      "User-Agent": "GitHub-Hookshot/044aadd",
      "X-GitHub-Delivery": randomUUID(),
      "X-GitHub-Event": name,
      "X-Hub-Signature-256": await sign(secret, body),
    };
    const response = await fetch(url, { method: "POST", headers, body });
    const environment = example.deployment?.environment ?? null;
    console.log(JSON.stringify({ name, environment, status: response.status, answer: await response.json() }));
  }
}
