// Elements, made without any markup in texts, and what counts down on them.

import { remaining, text } from "./texts.js";

const SVG = "http://www.w3.org/2000/svg";

function fill(made, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function") made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child != null));
  return made;
}

/** `element("button", { type: "button", onclick: save }, "Save")`. Texts stay texts. */
export const element = (name, properties = {}, ...children) =>
  fill(document.createElement(name), properties, children);

/** The same for pictures. */
export const drawn = (name, properties = {}, ...children) =>
  fill(document.createElementNS(SVG, name), properties, children);

export const find = (id) => document.getElementById(id);

/** Says something to whoever looks or listens: in the dialogue on top, since all around it is out of reach, or below. */
export function say(message) {
  const open = [...document.querySelectorAll("dialog[open]")].at(-1);
  const place = open?.querySelector('[role="status"]') ?? find("notice");
  say.last?.replaceChildren();
  say.last = place;
  place.textContent = message;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => place.replaceChildren(), 8000);
}

/** What is left until `end`, in the words of the text `name`; an event `elapsed` when nothing is. */
export function countdown(name, end) {
  const made = element("span", { class: "countdown", role: "timer", "data-until": end, "data-text": name });
  tick(made);
  return made;
}

function tick(counting) {
  const { until, text: name } = counting.dataset;
  counting.textContent = text(name, { time: remaining(until) });
  if (new Date(until) > Date.now()) return;
  delete counting.dataset.until;
  counting.dispatchEvent(new CustomEvent("elapsed", { bubbles: true }));
}

setInterval(() => document.querySelectorAll("[data-until]").forEach(tick), 1000);
