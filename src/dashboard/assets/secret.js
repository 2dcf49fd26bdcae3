// A new key, shown once. It is in the element that shows it, and nowhere else, until the dialogue closes.

import { copy } from "./clipboard.js";
import { find, say } from "./dom.js";
import { open } from "./dialog.js";
import { text } from "./texts.js";

const dialog = find("secret");
const value = find("secret-value");
const warning = find("secret-warning");
let copied = false;
let afterwards = () => {};

/** Shows the key that was made for `name`; `then` is called when it is shown no longer. */
export function reveal(secret, name, then) {
  copied = false;
  afterwards = then;
  warning.hidden = true;
  value.textContent = secret;
  find("secret-label").textContent = text("secret_label", { name });
  open(dialog, find("secret-copy"));
}

function leave() {
  if (copied) return close();
  warning.hidden = false;
  find("secret-back").focus();
}

// Cleared first: the event of its closing comes when others have run.
function close() {
  clear();
  dialog.close();
}

function clear() {
  value.textContent = "";
  find("secret-label").textContent = "";
  warning.hidden = true;
  getSelection()?.removeAllRanges();
}

find("secret-copy").addEventListener("click", async () => {
  const done = await copy(value);
  copied ||= done;
  if (done) find("secret-done").focus();
});
// By hand, after it was marked.
value.addEventListener("copy", () => { copied = true; });
find("secret-done").addEventListener("click", leave);
find("secret-drop").addEventListener("click", close);
find("secret-back").addEventListener("click", () => {
  warning.hidden = true;
  find("secret-copy").focus();
});
// Before the browser does, which closes a dialogue that is asked twice.
dialog.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  event.preventDefault();
  leave();
});
dialog.addEventListener("cancel", (event) => {
  event.preventDefault();
  leave();
});
dialog.addEventListener("close", () => {
  clear();
  say("");
  afterwards();
});
addEventListener("pagehide", () => {
  clear();
  if (dialog.open) dialog.close();
});
addEventListener("beforeunload", (event) => {
  if (dialog.open && !copied) event.preventDefault();
});
