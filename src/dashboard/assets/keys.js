// The list of keys: search, filters, pages, and a row for each key.

import { call, explain } from "./api.js";
import { countdown, element, find, say } from "./dom.js";
import { date, fromNow, number, settings, text } from "./texts.js";

const table = find("keys-table");
const rows = table.querySelector("tbody");
const filters = find("key-filters");
const blank = find("keys-blank");
const problem = find("keys-problem");
const SOON = 14 * 86_400_000;

const known = new Map();
let base = "";
let cursor = null;
let asked = new AbortController();
let listed = Promise.resolve();
let manage = () => {};
let nameOf = () => null;

/** The key of this id, if it is in the list. */
export const keyOf = (id) => known.get(id);

/** `opened` is called with the key whose row was chosen; `owner` names an organisation by its id. */
export function prepare(opened, owner) {
  [manage, nameOf] = [opened, owner];
  find("scope-filter").hidden = settings.scopes.length === 0;
  filters.elements.scope.append(...settings.scopes.map((scope) => element("option", { value: scope }, scope)));
}

/** Lists the keys at `url` from the beginning, with nothing searched for. */
export function start(url) {
  filters.reset();
  base = url;
  known.clear();
  rows.replaceChildren();
  table.hidden = true;
  return load();
}

/** Lists anew, from the beginning. Rejects with why it cannot be. */
export function load() {
  clearTimeout(load.timer);
  listed = list();
  return listed;
}

async function list() {
  asked.abort();
  asked = new AbortController();
  const { signal } = asked;
  find("keys-count").textContent = text("loading");
  try {
    const page = await read(null, signal);
    const focused = document.activeElement?.closest?.("#keys-table [data-id]")?.dataset.id;
    known.clear();
    rows.replaceChildren();
    add(page);
    explain(problem, null);
    if (focused) focus(focused);
  } catch (error) {
    if (signal.aborted) return;
    find("keys-count").textContent = "";
    throw error;
  }
}

/** Lists anew, and says above the list why it cannot be. Whether it could. */
export const refresh = () => load().then(() => true, (error) => {
  explain(problem, error, refresh);
  return false;
});

/** Goes on where the list ends: once what was asked for before has come, since it would leave a gap in another list. */
function more() {
  const { signal } = asked;
  listed = listed.catch(() => {}).then(() => next(signal));
}

async function next(signal) {
  if (signal.aborted || !cursor) return;
  const button = find("keys-more");
  button.setAttribute("aria-disabled", "true");
  try {
    const page = await read(cursor, signal);
    const first = page.items[0];
    add(page);
    if (first) focus(first.id);
    explain(problem, null);
  } catch (error) {
    if (!signal.aborted) explain(problem, error, more);
  } finally {
    button.removeAttribute("aria-disabled");
  }
}

async function read(after, signal) {
  const query = new URLSearchParams(wanted());
  query.set("limit", "50");
  if (after) query.set("cursor", after);
  return (await call(`${base}?${query}`, { signal })).data;
}

const wanted = () => [...new FormData(filters)].filter(([, value]) => value !== "");

function add({ items, nextCursor }) {
  cursor = nextCursor;
  for (const key of items) {
    if (known.has(key.id)) continue;
    known.set(key.id, key);
    rows.append(row(key));
  }
  table.hidden = known.size === 0;
  find("keys-more").hidden = !cursor;
  find("keys-count").textContent = known.size > 0 ? text("shown", { count: number(known.size) }) : "";
  offer();
}

/** What is said in place of an empty list. */
function offer() {
  blank.hidden = known.size > 0;
  if (!blank.hidden) {
    const searched = wanted().length > 0;
    blank.querySelector("h2").textContent = text(searched ? "no_match" : "no_keys");
    blank.querySelector("p").textContent = text(searched ? "no_match_hint" : "no_keys_hint");
    const button = blank.querySelector("button");
    button.textContent = text(searched ? "show_all" : "create");
    button.dataset.does = searched ? "all" : "create";
    button.className = searched ? "" : "primary";
  }
}

/** Shows a key as it is now, if it is in the list. */
export function replace(key) {
  if (!known.has(key.id)) return;
  known.set(key.id, key);
  const old = rows.querySelector(`[data-id="${CSS.escape(key.id)}"]`);
  const focused = old?.contains(document.activeElement);
  old?.replaceWith(row(key));
  if (focused) focus(key.id);
}

/** Goes to the row of a key; whether there is one. */
export function focus(id) {
  const button = rows.querySelector(`[data-id="${CSS.escape(id)}"] button`);
  button?.focus();
  return Boolean(button);
}

function row(key) {
  const open = () => manage(known.get(key.id) ?? key);
  const cell = (label, ...children) => element("td", { role: "cell", "data-label": text(label) }, ...children);
  return element("tr", { role: "row", "data-id": key.id, class: `is-${key.state}` },
    element("th", { role: "rowheader", scope: "row" },
      element("button", { type: "button", class: "name", onclick: open }, key.name),
      element("code", {}, key.masked)),
    cell("owner", owner(key)),
    cell("scopes", key.scopes.length > 0 ? key.scopes.join(", ") : quiet(text("none"))),
    cell("created", key.createdAt ? moment(key.createdAt, date(key.createdAt, "day")) : quiet(text("unknown"))),
    cell("last_used", key.lastUsedAt ? moment(key.lastUsedAt, fromNow(key.lastUsedAt)) : quiet(text("never"))),
    cell("expires", expiry(key)),
    cell("state", state(key)),
    element("td", { role: "cell", class: "end" },
      element("button", { type: "button", onclick: open, "aria-label": text("manage_key", { name: key.name }) },
        text("manage"))));
}

const quiet = (words) => element("span", { class: "quiet-text" }, words);

/** An instant in some words, and to the second for whoever points at them. */
export const moment = (instant, words) =>
  element("time", { datetime: instant, title: date(instant, "second") }, words);

/** Whose a key is. */
export function owner({ owner: { user, organization } }) {
  const names = [organization && (nameOf(organization) ?? organization), user].filter(Boolean);
  return names.length > 0 ? element("span", { class: "owner" }, names.join(" · ")) : quiet(text("operator"));
}

/** When a key ends; how soon, if it is soon. */
export function expiry({ expiresAt, state: now }) {
  if (!expiresAt) return quiet(text("never"));
  const left = new Date(expiresAt) - Date.now();
  const soon = now === "active" && left > 0 && left < SOON;
  return moment(expiresAt, soon ? fromNow(expiresAt) : date(expiresAt, "day"));
}

/** What state a key is in, and how long its overlap goes on. */
export function state(key) {
  const badge = element("span", { class: `state ${key.state}` }, text(`state_${key.state}`));
  if (key.state !== "overlap" || !key.expiresAt) return badge;
  const counting = countdown("stops_in", key.expiresAt);
  return element("span", { class: "states" }, badge, counting);
}

filters.addEventListener("submit", (event) => event.preventDefault());
filters.addEventListener("change", ({ target }) => { if (target.name !== "q") refresh(); });
filters.elements.q.addEventListener("input", () => {
  clearTimeout(load.timer);
  load.timer = setTimeout(refresh, 250);
});
find("keys-more").addEventListener("click", more);
find("refresh").addEventListener("click", async () => {
  if (await refresh()) say(text("refreshed"));
});
blank.querySelector("button").addEventListener("click", ({ target }) => {
  if (target.dataset.does !== "all") return;
  filters.reset();
  filters.elements.q.focus();
  refresh();
});
// The overlap of one key is over, and the others are as they were.
table.addEventListener("elapsed", async ({ target }) => {
  const { id } = target.closest("[data-id]").dataset;
  const { data } = await call(`${base}/${encodeURIComponent(id)}`).catch(() => ({}));
  if (data) replace(data);
});
