// Dialogues: one way to open and close them, and one to send what was entered.

import { explain, Refusal } from "./api.js";

/** Opens a dialogue with the focus on `first`, or where the browser puts it. */
export function open(dialog, first) {
  if (!dialog.open) dialog.showModal();
  first?.focus();
}

/** Closes all that are open, the one on top first, so that each gives the focus back. */
export function closeAll() {
  for (const dialog of [...document.querySelectorAll("dialog[open]")].reverse()) dialog.close();
}

document.addEventListener("click", ({ target }) => {
  target.closest?.("[data-close]")?.closest("dialog")?.close();
});

/** Calls `send` with the form when it is sent, once at a time, and shows at its fields what is wrong with them. */
export function form(dialog, send) {
  const inside = dialog.querySelector("form");
  const button = inside.querySelector("footer button:last-child");
  const box = dialog.querySelector(".problem");
  const submit = async () => {
    if (inside.getAttribute("aria-busy")) return;
    clear(dialog);
    inside.setAttribute("aria-busy", "true");
    button.setAttribute("aria-disabled", "true");
    try {
      await send(inside);
    } catch (error) {
      const known = error instanceof Refusal && mark(dialog, error.fields);
      if (!known) explain(box, error, submit);
    } finally {
      inside.removeAttribute("aria-busy");
      button.removeAttribute("aria-disabled");
    }
  };
  inside.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
}

/** Takes away what was wrong before. */
export function clear(dialog) {
  explain(dialog.querySelector(".problem"), null);
  dialog.querySelectorAll(".wrong").forEach((place) => { place.textContent = ""; });
  dialog.querySelectorAll("[aria-invalid]").forEach((field) => field.removeAttribute("aria-invalid"));
}

/** Says at each field what is wrong with it, and goes to the first. Whether there is a place for all of it. */
export function mark(dialog, fields) {
  const places = Object.entries(fields).map(([name, reason]) => ({
    reason,
    place: dialog.querySelector(`#${dialog.id}-${CSS.escape(ALIASES[name] ?? name)}-error`),
    field: dialog.querySelector(`[name="${CSS.escape(ALIASES[name] ?? name)}"]`),
  }));
  if (places.length === 0 || places.some(({ place }) => !place)) return false;
  for (const { place, field, reason } of places) {
    place.textContent = reason;
    field?.setAttribute("aria-invalid", "true");
  }
  places[0].field?.focus();
  return true;
}

/** Fields of the API that have another name on the page. */
const ALIASES = { expiresInDays: "expires", expiresAt: "date" };
