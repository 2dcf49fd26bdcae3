// How often a key was used over time: a picture, and the same as a table.

import { call, explain } from "./api.js";
import { drawn, element, find } from "./dom.js";
import { date, number, text } from "./texts.js";

const WIDTH = 360;
const HEIGHT = 96;

/** Shows how the key at `url` was used, by `hour` or by `day`. */
export async function show(url, bucket, signal) {
  const place = find("usage");
  try {
    const { data } = await call(`${url}/usage?bucket=${bucket}`, { signal });
    draw(place, data, bucket);
  } catch (error) {
    if (signal.aborted) return;
    const box = element("div", { class: "problem" });
    explain(box, error, () => show(url, bucket, signal));
    place.replaceChildren(box);
  }
}

function draw(place, { useCount, series }, bucket) {
  find("usage-range").hidden = !series;
  const totals = [total(text("calls_ever"), useCount)];
  if (!series) return place.replaceChildren(element("dl", { class: "totals" }, ...totals));
  const count = series.reduce((sum, entry) => sum + entry.count, 0);
  totals.push(total(text("calls_in_range"), count));
  const pictures = count > 0
    ? [chart(series, count, bucket), table(series, bucket)]
    : [element("p", { class: "quiet-text" }, text("no_calls"))];
  place.replaceChildren(element("dl", { class: "totals" }, ...totals), ...pictures);
}

const total = (label, count) =>
  element("div", {}, element("dt", {}, label), element("dd", {}, number(count)));

const named = (at, bucket) => date(at, bucket === "day" ? "bucket" : "minute");

function chart(series, count, bucket) {
  const most = Math.max(...series.map((entry) => entry.count));
  const step = WIDTH / series.length;
  const bars = series.map((entry, index) => {
    const height = entry.count === 0 ? 1 : Math.max(3, (entry.count / most) * HEIGHT);
    const place = { x: index * step + step * 0.12, y: HEIGHT - height, width: step * 0.76, height };
    const label = `${named(entry.at, bucket)}: ${number(entry.count)}`;
    return drawn("rect", { ...place, rx: 1, class: entry.count === 0 ? "none" : "bar" }, drawn("title", {}, label));
  });
  const [from, to] = [series[0].at, series.at(-1).at].map((at) => named(at, bucket));
  const label = text("chart", { count: number(count), from, to, most: number(most) });
  return element("figure", { class: "chart" },
    element("figcaption", { class: "most", "aria-hidden": "true" }, number(most)),
    drawn("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label }, ...bars),
    element("p", { class: "axis", "aria-hidden": "true" }, element("span", {}, from), element("span", {}, to)));
}

function table(series, bucket) {
  const rows = series.filter((entry) => entry.count > 0).reverse().map((entry) =>
    element("tr", {}, element("th", { scope: "row" }, named(entry.at, bucket)), element("td", {}, number(entry.count))));
  const head = [text("time"), text("calls")].map((label) => element("th", { scope: "col" }, label));
  return element("details", {},
    element("summary", {}, text("chart_table")),
    element("table", { class: "small" }, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows)));
}
