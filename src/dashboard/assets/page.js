// The page: whose keys are shown, which view of them, and what is shown to whoever may see none.

import * as activity from "./activity.js";
import { call, explain, Refusal } from "./api.js";
import { copy } from "./clipboard.js";
import * as create from "./create.js";
import { closeAll } from "./dialog.js";
import { element, find } from "./dom.js";
import * as keys from "./keys.js";
import * as sheet from "./sheet.js";
import { settings, text } from "./texts.js";

const gate = find("gate");
const choice = find("organization-choice");
const PARAMETER = "organization";

let organizations = [];
/** Whose keys are shown; null where there are no organisations. */
let current = null;
let audited = false;
let read = 0;
/** What is under way for the organisation that was shown before is of no use. */
let asked = new AbortController();

const base = () => settings.keys.replace("{org}", encodeURIComponent(current?.id ?? ""));

async function begin() {
  closed();
  if (!settings.organizations) return start();
  try {
    const { data } = await call(settings.organizations);
    organizations = data.items;
    const wished = new URLSearchParams(location.search).get(PARAMETER);
    const of = (id) => organizations.find((organization) => organization.id === id);
    current = of(wished) ?? of(data.current) ?? organizations[0] ?? null;
  } catch (error) {
    return shut(error, begin);
  }
  find("organization").hidden = organizations.length === 0;
  choice.replaceChildren(...organizations.map(({ id, name }) =>
    element("option", { value: id, selected: id === current.id }, name ?? id)));
  if (!current) return block("no_organization_title", "no_organization_hint");
  return start();
}

/** Shows everything anew, for whoever is chosen. */
async function start() {
  asked.abort();
  asked = new AbortController();
  const { signal } = asked;
  closeAll();
  closed();
  audited = false;
  find("organization-id").textContent = current?.id ?? "";
  if (current) {
    const url = new URL(location.href);
    url.searchParams.set(PARAMETER, current.id);
    history.replaceState(null, "", url);
  }
  activity.forget(base());
  try {
    const listed = keys.start(base());
    const found = activity.there(base(), signal).catch(() => false);
    await listed;
    // Keys are not kept waiting for long to be told that there is another view.
    await Promise.race([found, new Promise((done) => { setTimeout(done, 400); })]);
    if (signal.aborted) return;
    read = Date.now();
    gate.hidden = true;
    view();
    audited = await found;
    if (signal.aborted) return;
    find("sheet-activity").hidden = !audited;
    find("views").hidden = !audited;
    view();
  } catch (error) {
    if (!signal.aborted) shut(error, start);
  }
}

/** Nothing is shown until it is known that it may be. */
function closed() {
  for (const id of ["views", "keys", "activity"]) find(id).hidden = true;
  gate.hidden = false;
  gate.replaceChildren(element("p", {}, text("loading")));
}

/** Says why nothing is shown. */
function shut(error, again) {
  closed();
  if (error instanceof Refusal && error.status === 401) {
    block("sign_in_title", "sign_in_hint");
    if (settings.signIn) gate.append(element("a", { class: "button primary", href: settings.signIn }, text("sign_in")));
  } else if (error instanceof Refusal && error.status === 403) {
    block("no_access_title", "no_access_hint");
    const roles = current?.roles?.join(", ");
    if (roles) gate.append(element("p", { class: "quiet-text" }, text("no_access_role", { roles })));
  } else {
    const box = element("div", { class: "problem" });
    explain(box, error, again);
    gate.replaceChildren(element("h2", {}, text("failed_title")), box);
  }
}

function block(title, hint) {
  gate.hidden = false;
  gate.replaceChildren(element("h2", {}, text(title)), element("p", {}, text(hint)));
}

/** The view that the address names. */
function view() {
  if (!gate.hidden) return;
  const active = audited && location.hash === "#activity" ? "activity" : "keys";
  for (const name of ["keys", "activity"]) {
    find(name).hidden = name !== active;
    const link = find("views").querySelector(`[href="#${name}"]`);
    if (name === active) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (active === "activity") activity.load();
}

/** Back to where the focus was, or to a key. */
function returned(key) {
  if (document.activeElement && document.activeElement !== document.body) return;
  if (!keys.focus(key.id)) find("main").focus();
}

keys.prepare(
  (key) => {
    activity.narrow(null);
    find("sheet-activity").onclick = () => activity.narrow(key);
    sheet.show(base(), key);
  },
  (id) => organizations.find((organization) => organization.id === id)?.name,
);
create.offer(base, keys.refresh, returned);
sheet.prepare(keys.refresh, returned);

choice.addEventListener("change", () => {
  current = organizations.find(({ id }) => id === choice.value);
  start();
});
find("organization-copy").addEventListener("click", () => copy(find("organization-id")));
addEventListener("hashchange", view);
// Back after a while: what is shown may be old.
document.addEventListener("visibilitychange", () => {
  if (document.hidden || find("keys").hidden || document.querySelector("dialog[open]")) return;
  if (Date.now() - read < 30_000) return;
  read = Date.now();
  keys.refresh();
});
begin();
