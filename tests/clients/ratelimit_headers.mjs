// Reads a list of header sets as JSON on stdin, and prints what npm's ratelimit-header-parser makes of each.
// The package is looked for from the working directory.
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const require = createRequire(pathToFileURL(join(process.cwd(), "package.json")));
const { parseRateLimit } = await import(pathToFileURL(require.resolve("ratelimit-header-parser")));

let text = "";
for await (const chunk of process.stdin) text += chunk;

const parsed = JSON.parse(text).map((set) => {
  const limit = parseRateLimit(new Headers(set));
  if (!limit) return null;
  return { limit: limit.limit, remaining: limit.remaining, reset: limit.reset ? limit.reset.getTime() / 1000 : null };
});
console.log(JSON.stringify(parsed));
