// Calls of the management API, by the cookies of whoever is signed in, and what they are refused with.

import { countdown, element } from "./dom.js";
import { settings, text } from "./texts.js";

/** Why a call came to nothing. `status` is 0 if there was no answer. */
export class Refusal extends Error {
  constructor(status, details = {}) {
    super(`${status}`);
    Object.assign(this, { status, fields: {}, wait: null, request: null }, details);
  }
}

/** A call, answered with `{ data, tag }`. `body` is sent as JSON; `tag` is the version that it is about. */
export async function call(url, { method = "GET", body, tag, repeat, signal } = {}) {
  const headers = { accept: "application/json" };
  if (body !== undefined) headers["content-type"] = "application/json";
  if (tag) headers["if-match"] = tag;
  if (repeat) headers["idempotency-key"] = repeat;
  const init = { method, headers, signal, credentials: "same-origin", cache: "no-store", redirect: "error" };
  let answer;
  let data;
  try {
    answer = await fetch(url, { ...init, body: body === undefined ? undefined : JSON.stringify(body) });
    data = await answer.json().catch(() => ({}));
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Refusal(0);
  }
  if (!answer.ok) throw refusal(answer, data ?? {});
  return { data, tag: answer.headers.get("etag") };
}

/** A refusal in whichever style the layer has: flat, envelope or problem. */
function refusal(answer, body) {
  const inner = typeof body.error === "object" && body.error !== null ? body.error : body;
  return new Refusal(answer.status, {
    fields: inner.details?.fields ?? inner.fields ?? {},
    wait: Number(answer.headers.get("retry-after")) || null,
    request: answer.headers.get("x-request-id"),
  });
}

const WORDS = {
  0: "wrong_offline",
  401: "wrong_signed_out",
  403: "wrong_forbidden",
  404: "wrong_gone",
  409: "wrong_conflict",
  412: "wrong_changed",
  422: "wrong_fields",
  429: "wrong_limited",
};

/** Shows in `box` why a call was refused, or hides it if there is nothing to say. `again` tries once more. */
export function explain(box, error, again) {
  box.hidden = !error;
  box.replaceChildren();
  if (!error) return;
  const { status, wait, request, fields } = error instanceof Refusal ? error : new Refusal(-1);
  if (!(error instanceof Refusal)) console.error(error);
  const words = WORDS[status] ?? (status >= 500 ? "wrong_unavailable" : "wrong_other");
  box.append(element("p", {}, text(words)));
  const told = status === 403 ? Object.entries(fields) : [];
  for (const [name, reason] of told) box.append(element("p", {}, `${name}: ${reason}`));
  if (status === 401 && settings.signIn) {
    box.append(element("p", {}, element("a", { href: settings.signIn }, text("sign_in"))));
  }
  if (again && (status === 0 || status === 429 || status >= 500)) box.append(retry(wait, again));
  if (request) box.append(element("p", { class: "reference" }, text("reference", { id: request })));
}

/** A button that waits as long as the server has asked for. */
function retry(wait, again) {
  const button = element("button", { type: "button", onclick: again }, text("retry"));
  if (wait) {
    button.disabled = true;
    const counting = countdown("retry_in", new Date(Date.now() + wait * 1000).toISOString());
    counting.addEventListener("elapsed", () => {
      button.disabled = false;
      button.replaceChildren(text("retry"));
    });
    button.replaceChildren(counting);
  }
  return element("p", {}, button);
}

/** A name for a request that can be repeated: the same one for the same body, until it has been answered. */
export class Repeats {
  #body = null;
  #name = null;

  for(body) {
    const text = JSON.stringify(body);
    if (this.#body !== text) {
      this.#body = text;
      const bytes = crypto.getRandomValues(new Uint8Array(16));
      this.#name = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    }
    return this.#name;
  }

  forget() {
    this.#body = null;
  }
}
