// What was done, by whom and from where: calls with keys, and changes of keys.

import { call, explain, Refusal } from "./api.js";
import { element, find, say } from "./dom.js";
import { keyOf, moment } from "./keys.js";
import { date, number, text } from "./texts.js";

const table = find("activity-table");
const rows = table.querySelector("tbody");
const filters = find("activity-filters");
const problem = find("activity-problem");

let base = "";
let cursor = null;
let shown = 0;
let only = null;
let asked = new AbortController();
let listed = Promise.resolve();

/** Whether there is an audit trail at `url`: what an API without one answers with 404. */
export async function there(url, signal) {
  try {
    await call(`${url}/audit?limit=1`, { signal });
    return true;
  } catch (error) {
    if (signal.aborted) throw error;
    return !(error instanceof Refusal && [403, 404].includes(error.status));
  }
}

/** Forgets what was shown, and whose it was. */
export function forget(url) {
  asked.abort();
  [base, cursor, shown] = [url, null, 0];
  filters.reset();
  narrow(null);
  rows.replaceChildren();
  table.hidden = true;
}

/** Shows what concerns one key alone, or all again. */
export function narrow(key) {
  only = key;
  if (key) filters.reset();
  find("activity-key").hidden = !key;
  find("activity-key").querySelector("span").textContent = key ? text("activity_key", { name: key.name }) : "";
}

/** Shows the newest events. Whether they could be read. */
export function load() {
  clearTimeout(load.timer);
  listed = list();
  return listed;
}

async function list() {
  asked.abort();
  asked = new AbortController();
  const { signal } = asked;
  find("activity-count").textContent = text("loading");
  try {
    const page = await read(null, signal);
    rows.replaceChildren();
    shown = 0;
    add(page);
    explain(problem, null);
    return true;
  } catch (error) {
    if (signal.aborted) return false;
    find("activity-count").textContent = "";
    explain(problem, error, load);
    return false;
  }
}

/** Goes on where the list ends: once what was asked for before has come, since it would leave a gap in another list. */
function more() {
  const { signal } = asked;
  listed = listed.then(() => next(signal));
}

async function next(signal) {
  if (signal.aborted || !cursor) return;
  try {
    add(await read(cursor, signal));
    explain(problem, null);
  } catch (error) {
    if (!signal.aborted) explain(problem, error, more);
  }
}

async function read(after, signal) {
  const query = new URLSearchParams([...new FormData(filters)].filter(([, value]) => value !== ""));
  query.set("limit", "50");
  if (only) query.set("keyId", only.id);
  if (after) query.set("cursor", after);
  return (await call(`${base}/audit?${query}`, { signal })).data;
}

function add({ items, nextCursor }) {
  cursor = nextCursor;
  shown += items.length;
  rows.append(...items.map(row));
  table.hidden = shown === 0;
  find("activity-blank").hidden = shown > 0;
  find("activity-more").hidden = !cursor;
  find("activity-count").textContent = shown > 0 ? text("shown", { count: number(shown) }) : "";
}

function row(event) {
  const cell = (label, ...children) => element("td", { role: "cell", "data-label": text(label) }, ...children);
  const request = [event.method, event.path].filter(Boolean).join(" ");
  return element("tr", { role: "row", "data-id": event.id },
    element("th", { role: "rowheader", scope: "row" }, moment(event.at, date(event.at, "second"))),
    cell("event", element("span", {}, action(event.action)), ...changes(event),
      event.action === "authenticate" ? element("code", { class: "path" }, request) : null),
    cell("key", event.keyId ? key(event.keyId) : none()),
    cell("actor", actor(event)),
    cell("address", event.clientIp ? element("code", {}, event.clientIp) : none(),
      event.newAddress ? element("span", { class: "tag" }, text("new_address")) : null),
    cell("outcome", outcome(event)));
}

const none = () => element("span", { class: "quiet-text" }, "–");

/** What was done, in the words of the table; an action that it does not know by its own name. */
function action(name) {
  const known = find("activity-filters").elements.action.querySelector(`[value="${CSS.escape(name)}"]`);
  return known?.textContent ?? name;
}

const key = (id) => {
  const known = keyOf(id);
  return known ? element("span", { title: id }, known.name) : element("code", {}, id);
};

function actor({ action: name, actor: by }) {
  if (by?.user) return element("span", { class: "owner" }, by.user);
  if (by?.keyId && name !== "authenticate") return key(by.keyId);
  return none();
}

/** What is told of a change, by the names that its fields have on the page. Who owns a key is told by where this is read. */
const FIELDS = {
  name: "name",
  scopes: "scopes",
  state: "state",
  expiresAt: "expires",
  revokedReason: "reason_label",
  allowedIps: "allowed_ips",
  allowedOrigins: "allowed_origins",
  replaces: "replaces",
  replacedBy: "replaced_by",
};

/** What a change has changed: `Name: a → b`; of a key that was not there before, what it is. */
function changes(event) {
  const told = ([field]) => event.changes?.[field] && (field !== "state" || event.changes.state.before != null);
  return Object.entries(FIELDS).filter(told).map(([field, label]) => {
    const { before, after } = event.changes[field];
    const [from, to] = [before, after].map((value) => written(field, value));
    const words = before == null ? to : `${from} → ${to}`;
    return element("span", { class: "change" }, `${text(label)}: ${words}`);
  });
}

function written(field, value) {
  if (value == null || value.length === 0) return "–";
  if (field === "state") return text(`state_${value}`);
  if (field === "expiresAt") return date(value, "minute");
  return Array.isArray(value) ? value.join(", ") : typeof value === "object" ? JSON.stringify(value) : `${value}`;
}

function outcome({ outcome: name, reason }) {
  const badge = element("span", { class: `state ${name}` }, text(name));
  if (name === "accepted" || !reason) return badge;
  return element("span", { class: "states" }, badge, element("code", {}, reason));
}

filters.addEventListener("submit", (event) => event.preventDefault());
filters.addEventListener("change", ({ target }) => { if (target.name !== "q") load(); });
filters.elements.q.addEventListener("input", () => {
  clearTimeout(load.timer);
  load.timer = setTimeout(load, 250);
});
find("activity-more").addEventListener("click", more);
find("activity-refresh").addEventListener("click", async () => {
  if (await load()) say(text("refreshed"));
});
find("activity-key").querySelector("button").addEventListener("click", () => {
  narrow(null);
  filters.elements.q.focus();
  load();
});
