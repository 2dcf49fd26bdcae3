// Making a key.

import { call, Repeats } from "./api.js";
import { clear, form, mark, open } from "./dialog.js";
import { element, find, say } from "./dom.js";
import { reveal } from "./secret.js";
import { date, length, settings, text } from "./texts.js";

const dialog = find("create");
const inside = dialog.querySelector("form");
const repeats = new Repeats();

/** Lets a key be made at `base()`; `made` is called with it when it has been, and `closed` when it is shown no longer. */
export function offer(base, made, closed) {
  for (const button of [find("create-open"), find("keys-blank").querySelector("button")]) {
    button.addEventListener("click", () => { if (button.dataset.does !== "all") begin(); });
  }
  form(dialog, async ({ elements }) => {
    const body = read(elements);
    if (!body) return;
    const { data } = await call(base(), { method: "POST", body, repeat: repeats.for(body) });
    const { key: secret, ...key } = data;
    delete data.key;
    repeats.forget();
    dialog.close();
    made(key);
    if (secret) reveal(secret, key.name, () => closed(key));
    else say(text("secret_gone"));
  });
}

function begin() {
  inside.reset();
  clear(dialog);
  const { expires, date: day } = inside.elements;
  const inDays = (days) => date(Date.now() + days * 86_400_000, "day");
  expires.replaceChildren(
    ...settings.days.map((days) => {
      const words = { time: length(days, "day"), date: inDays(days) };
      return element("option", { value: days, selected: days === 90 }, text("expires_after", words));
    }),
    element("option", { value: "date" }, text("expires_date")),
    element("option", { value: "never" }, text("expires_never")),
  );
  day.min = local(new Date());
  find("create-date").hidden = true;
  const choices = dialog.querySelector(".choices");
  find("create-scopes").hidden = settings.scopes.length === 0;
  choices.replaceChildren(...settings.scopes.map((scope) =>
    element("label", { class: "choice" }, element("input", { type: "checkbox", name: "scopes", value: scope }), scope)));
  open(dialog, inside.elements.name);
}

inside.elements.expires.addEventListener("change", ({ target }) => {
  find("create-date").hidden = target.value !== "date";
});

/** What is sent, or nothing after the fields have been told what is wrong with them. */
function read({ name, expires, date: day }) {
  const body = { name: name.value.trim() };
  const scopes = [...inside.querySelectorAll('[name="scopes"]:checked')].map((box) => box.value);
  if (scopes.length > 0) body.scopes = scopes;
  const wrong = {};
  if (body.name === "" || [...body.name].length > 100) wrong.name = text("name_wrong");
  if (expires.value === "date") {
    const end = endOf(day.value);
    if (end > new Date()) body.expiresAt = end.toISOString();
    else wrong.date = text("date_wrong");
  } else if (expires.value !== "never") {
    body.expiresInDays = Number(expires.value);
  }
  if (Object.keys(wrong).length === 0) return body;
  mark(dialog, wrong);
  return null;
}

/** The last second of a day where whoever makes the key is. An empty field is no day. */
function endOf(day) {
  const [year, month, date] = day.split("-").map(Number);
  return new Date(year, month - 1, date, 23, 59, 59);
}

const local = (day) =>
  [day.getFullYear(), day.getMonth() + 1, day.getDate()].map((part) => String(part).padStart(2, "0")).join("-");
