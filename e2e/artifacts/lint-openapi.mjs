// Judges OpenAPI documents by Redocly's linter: node lint-openapi.mjs FILE... prints every problem, and ends with 1
// where there is one. Its rules are "recommended" but for those that want what a manifest does not know.
import { createConfig, lint } from "@redocly/openapi-core";

const config = await createConfig({
  extends: ["recommended"],
  rules: {
    "info-license": "off", // a service's license is no part of its contract
    "no-server-example.com": "off", // a gateway that is tried out listens at 127.0.0.1
    "tag-description": "off", // directives have tags' names alone
    "operation-4xx-response": "off", // every operation has a default response, which is a problem
    "operation-operationId": "error",
    "no-ambiguous-paths": "off", // a literal beats a parameter, by rule of the router
  },
});

let problems = 0;
for (const ref of process.argv.slice(2)) {
  for (const p of await lint({ ref, config })) {
    problems++;
    console.log(`${ref}${p.location[0]?.pointer ?? ""}: ${p.severity}: ${p.ruleId}: ${p.message}`);
  }
}
process.exitCode = problems === 0 ? 0 : 1;
