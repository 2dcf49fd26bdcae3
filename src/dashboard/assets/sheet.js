// One key: what is known of it, how it was used, and all that can be done with it.

import { call, explain, Refusal, Repeats } from "./api.js";
import { clear, form, mark, open } from "./dialog.js";
import { element, find, say } from "./dom.js";
import { expiry, focus, moment, owner, replace, state } from "./keys.js";
import { reveal } from "./secret.js";
import { date, length, settings, text } from "./texts.js";
import { show as showUsage } from "./usage.js";

const sheet = find("sheet");
const problem = sheet.querySelector(".problem");
const repeats = new Repeats();
const OVERLAPS = [[0], [1, "hour", 3600], [1, "day", 86_400], [7, "day", 604_800], [30, "day", 2_592_000]];

/** The key that is shown, its version, and where it is. */
let now = { key: null, tag: null, url: "" };
let asked = new AbortController();
let rotated = () => {};
let closed = () => {};

/** `succeeded` is called with the successor of a key when there is one; `left` with it when it is shown no longer. */
export function prepare(succeeded, left) {
  [rotated, closed] = [succeeded, left];
}

/** Shows a key of the API at `base`. */
export async function show(base, key) {
  now = { key, tag: null, url: `${base}/${encodeURIComponent(key.id)}` };
  explain(problem, null);
  find("usage").replaceChildren(element("p", { class: "quiet-text" }, text("loading")));
  find("usage-range").hidden = true;
  find("usage-range").querySelector('[value="day"]').checked = true;
  draw();
  open(sheet, find("sheet-title"));
  usage();
  await reload();
}

/** Reads the key anew: what is changed is what was seen. */
async function reload() {
  asked.abort();
  asked = new AbortController();
  const { signal } = asked;
  try {
    const { data, tag } = await call(now.url, { signal });
    took(data, tag);
    explain(problem, null);
  } catch (error) {
    if (!signal.aborted) explain(problem, error, reload);
  }
}

function usage() {
  const { value } = find("usage-range").querySelector(":checked");
  usage.asked?.abort();
  usage.asked = new AbortController();
  return showUsage(now.url, value, usage.asked.signal);
}

function took(key, tag) {
  now = { ...now, key, tag };
  draw();
  replace(key);
}

/** Changes the key, if it is still what was seen. */
async function change(path, method, body, said) {
  try {
    const { data, tag } = await call(now.url + path, { method, body, tag: now.tag });
    took(data, tag);
    return say(text(said));
  } catch (error) {
    if (error instanceof Refusal && [409, 412].includes(error.status)) await reload();
    throw error;
  }
}

function draw() {
  const { key } = now;
  find("sheet-title").textContent = key.name;
  find("sheet-masked").textContent = key.masked;
  find("sheet-state").replaceChildren(state(key));
  find("facts").replaceChildren(...facts(key).map(([label, ...value]) =>
    element("div", {}, element("dt", {}, text(label)), element("dd", {}, ...value))));
  const focused = document.activeElement;
  find("rename-open").hidden = key.state === "revoked";
  find("rotate-open").hidden = key.state !== "active";
  find("disable").hidden = !["active", "overlap"].includes(key.state);
  find("enable").hidden = key.state !== "disabled";
  find("revoke-open").hidden = key.state === "revoked";
  if (focused?.hidden) find("sheet-title").focus();
}

function facts(key) {
  const instant = (value) => moment(value, date(value, "minute"));
  const code = (value) => element("code", {}, value);
  const facts = [
    ["id", code(key.id)],
    ["owner", owner(key)],
    ["scopes", key.scopes.length > 0 ? key.scopes.join(", ") : text("none")],
    ["created", key.createdAt ? instant(key.createdAt) : text("unknown")],
    ["expires", key.expiresAt ? instant(key.expiresAt) : expiry(key)],
    ["last_used", key.lastUsedAt ? instant(key.lastUsedAt) : text("never")],
    key.lastUsedIp && ["last_address", code(key.lastUsedIp)],
    key.environment && ["environment", key.environment],
    key.allowedIps && ["allowed_ips", key.allowedIps.join(", ")],
    key.allowedOrigins && ["allowed_origins", key.allowedOrigins.join(", ")],
    key.replaces && ["replaces", code(key.replaces)],
    key.replacedBy && ["replaced_by", code(key.replacedBy)],
    key.revokedAt && ["revoked", instant(key.revokedAt)],
    key.revokedReason && ["reason_label", key.revokedReason],
  ];
  return facts.filter(Boolean);
}

/** A change that needs no form. */
async function press(path, said) {
  explain(problem, null);
  try {
    await change(path, "POST", {}, said);
  } catch (error) {
    explain(problem, error, () => press(path, said));
  }
}

/** Opens the dialogue for an action, with what it says of this key. */
function ask(name, prepare) {
  const dialog = find(name);
  find(`${name}-open`).addEventListener("click", () => {
    const inside = dialog.querySelector("form");
    inside.reset();
    clear(dialog);
    prepare(inside.elements);
    open(dialog, inside.elements[0]);
  });
  return dialog;
}

const renaming = ask("rename", ({ name }) => {
  name.value = now.key.name;
  name.defaultValue = now.key.name;
});
form(renaming, async ({ elements: { name } }) => {
  const entered = name.value.trim();
  if (entered === "" || [...entered].length > 100) return void mark(renaming, { name: text("name_wrong") });
  await change("", "PATCH", { name: entered }, "renamed");
  renaming.close();
  say(text("renamed"));
});

const rotating = ask("rotate", ({ overlapSeconds }) => {
  find("rotate-title").textContent = text("rotate_title", { name: now.key.name });
  overlapSeconds.replaceChildren(...OVERLAPS.map(([value, unit, seconds = 0]) =>
    element("option", { value: seconds, selected: seconds === 86_400 },
      unit ? length(value, unit) : text("overlap_none"))));
  hint();
});

/** Until when both keys work. */
function hint() {
  const seconds = Number(rotating.querySelector("select").value);
  const own = now.key.expiresAt ? new Date(now.key.expiresAt).getTime() : Infinity;
  const end = Math.min(Date.now() + seconds * 1000, own);
  find("rotate-hint").textContent =
    seconds === 0 ? text("overlap_now") : text("overlap_until", { date: date(end, "minute") });
}
rotating.querySelector("select").addEventListener("change", hint);

form(rotating, async ({ elements: { overlapSeconds } }) => {
  const body = { overlapSeconds: Number(overlapSeconds.value) };
  const repeat = repeats.for({ ...body, key: now.key.id, tag: now.tag });
  let made;
  try {
    made = (await call(`${now.url}/rotate`, { method: "POST", body, tag: now.tag, repeat })).data;
  } catch (error) {
    if (error instanceof Refusal && [409, 412].includes(error.status)) await reload();
    throw error;
  }
  const { key: secret, ...key } = made;
  delete made.key;
  repeats.forget();
  rotating.close();
  sheet.close();
  rotated(key);
  if (secret) reveal(secret, key.name, () => closed(key));
  else say(text("secret_gone"));
});

const revoking = ask("revoke", () => {
  const { name } = now.key;
  find("revoke-title").textContent = text("revoke_title", { name });
  const [before, after] = settings.texts.revoke_ask.split("{name}");
  find("revoke-ask").replaceChildren(before, element("code", {}, name), after);
  confirm();
});

/** A key is revoked by whoever has written its name. */
function confirm() {
  const { confirmation } = revoking.querySelector("form").elements;
  revoking.querySelector("footer .danger").disabled = confirmation.value.trim() !== now.key.name.trim();
}
revoking.addEventListener("input", confirm);

form(revoking, async ({ elements: { confirmation, reason } }) => {
  if (confirmation.value.trim() !== now.key.name.trim()) return;
  const body = reason.value.trim() === "" ? {} : { reason: reason.value.trim() };
  await change("/revoke", "POST", body, "revoked_now");
  revoking.close();
  say(text("revoked_now"));
});

find("disable").addEventListener("click", () => press("/disable", "disabled"));
find("enable").addEventListener("click", () => press("/enable", "enabled"));
find("usage-range").addEventListener("change", usage);
sheet.addEventListener("elapsed", reload);
sheet.addEventListener("close", () => {
  // The event comes late: the sheet may show another key by now, whose calls go on.
  if (sheet.open) return;
  asked.abort();
  usage.asked?.abort();
  // The row that the focus came from was made anew.
  if (document.activeElement === document.body) focus(now.key.id);
});
find("sheet-activity").addEventListener("click", () => sheet.close());
