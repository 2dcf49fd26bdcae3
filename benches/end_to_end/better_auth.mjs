// A server that verifies keys by Better Auth's plugin: `node better_auth.mjs <key>`. Prints its port.
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

// The packages are installed in the working directory, not beside this file.
const require = createRequire(pathToFileURL(join(process.cwd(), "package.json")));
const load = async (name) => import(pathToFileURL(require.resolve(name)));

const [key] = process.argv.slice(2);
const { betterAuth } = await load("better-auth");
const { memoryAdapter } = await load("better-auth/adapters/memory");
const { apiKey } = await load("@better-auth/api-key");

const database = { user: [], session: [], account: [], verification: [], apikey: [] };
const auth = betterAuth({
  baseURL: "http://127.0.0.1",
  secret: "a-secret-that-protects-nothing-but-this-bench",
  database: memoryAdapter(database),
  emailAndPassword: { enabled: true },
  plugins: [apiKey({ customKeyGenerator: () => key, rateLimit: { enabled: true, timeWindow: 1000, maxRequests: 1e9 } })],
  telemetry: { enabled: false },
});
const { user } = await auth.api.signUpEmail({
  body: { name: "Ann", email: "ann@example.com", password: "a-long-enough-password" },
});
await auth.api.createApiKey({ body: { name: "ci", userId: user.id } });

const server = createServer(async (request, response) => {
  const { valid } = await auth.api.verifyApiKey({ body: { key: request.headers["x-api-key"] ?? "" } });
  response.statusCode = valid ? 200 : 401;
  response.end(valid ? "ok" : '{"error":"INVALID_API_KEY"}');
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
