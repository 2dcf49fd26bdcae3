// Copying, where a page may, and marking what is to be copied, where it may not.

import { say } from "./dom.js";
import { text } from "./texts.js";

/** Copies the text of an element, and says so. Whether it is copied. */
export async function copy(source) {
  const copied = await write(source);
  say(text(copied ? "copied" : "copy_failed"));
  return copied;
}

async function write(source) {
  try {
    await navigator.clipboard.writeText(source.textContent);
    return true;
  } catch {
    // Not on a page without TLS, nor where it was forbidden.
    source.focus();
    getSelection().selectAllChildren(source);
    return document.execCommand("copy");
  }
}
