// A server of Better Auth: `node better_auth.mjs <url of the database> <strategy of the cookie cache>`.
// Prints where it listens. POST /member {userId, organizationId, role} adds a member, as an administrator's script would.
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

// The packages are installed in the working directory, not beside this file.
const require = createRequire(pathToFileURL(join(process.cwd(), "package.json")));
const load = async (name) => import(pathToFileURL(require.resolve(name)));

const [url, strategy] = process.argv.slice(2);
const { betterAuth } = await load("better-auth");
const { getMigrations } = await load("better-auth/db/migration");
const { toNodeHandler } = await load("better-auth/node");
const { admin, organization } = await load("better-auth/plugins");

async function database() {
  if (url.startsWith("sqlite:")) {
    const { default: Database } = await load("better-sqlite3");
    return new Database(url.slice("sqlite:".length));
  }
  const { default: pg } = await load("pg");
  return new pg.Pool({ connectionString: url });
}

let handle;
const server = createServer((request, response) => handle(request, response));
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const baseURL = `http://127.0.0.1:${server.address().port}`;

const options = {
  baseURL,
  secret: process.env.BETTER_AUTH_SECRET,
  database: await database(),
  emailAndPassword: { enabled: true },
  plugins: [organization(), admin()],
  session: { cookieCache: { enabled: true, strategy, maxAge: 300 } },
  rateLimit: { enabled: false },
  telemetry: { enabled: false },
};
const { runMigrations } = await getMigrations(options);
await runMigrations();
const auth = betterAuth(options);
const authHandler = toNodeHandler(auth);

handle = async (request, response) => {
  if (request.url !== "/member") {
    return authHandler(request, response);
  }
  let body = "";
  for await (const chunk of request) body += chunk;
  const member = await auth.api.addMember({ body: JSON.parse(body) });
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify(member));
};

console.log(`listening on ${baseURL}`);
