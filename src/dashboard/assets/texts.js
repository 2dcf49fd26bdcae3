// The settings of the page, its texts, and numbers and times as its language writes them.

export const settings = JSON.parse(document.querySelector('meta[name="settings"]').content);

const { language } = settings.texts;

/** A text of the table, with its words in braces filled in. */
export function text(name, values = {}) {
  return settings.texts[name].replace(/\{(\w+)\}/g, (whole, word) => values[word] ?? whole);
}

export const number = (value) => new Intl.NumberFormat(language).format(value);

const dates = {
  day: { dateStyle: "medium" },
  // A day of the API, which is one of UTC wherever the page is looked at.
  bucket: { month: "short", day: "numeric", timeZone: "UTC" },
  minute: { dateStyle: "medium", timeStyle: "short" },
  second: { dateStyle: "medium", timeStyle: "medium" },
};

/** An instant, to the `day`, `minute` or `second`, where whoever looks at it is. */
export const date = (instant, precision) =>
  new Intl.DateTimeFormat(language, dates[precision]).format(new Date(instant));

/** `7 days`, and `day` by its English name. */
export const length = (value, unit) =>
  new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "long" }).format(value);

/** `3 minutes ago`, `in 5 days`. What would be in the future by some seconds is so by the difference of two clocks: now. */
export function fromNow(instant) {
  const seconds = (new Date(instant) - Date.now()) / 1000;
  const relative = new Intl.RelativeTimeFormat(language, { numeric: "auto" });
  const units = [["year", 31_536_000], ["month", 2_592_000], ["day", 86_400], ["hour", 3600], ["minute", 60]];
  const [unit, size] = units.find(([, size]) => Math.abs(seconds) >= size) ?? ["second", 1];
  if (Math.abs(seconds) < 10) return relative.format(0, unit);
  return relative.format(seconds < 0 ? Math.trunc(seconds / size) : Math.round(seconds / size), unit);
}

/** What is left until an instant: `59 seconds`, `23:59:58`, `6 days 23:59:58`. */
export function remaining(instant) {
  const seconds = Math.max(0, Math.ceil((new Date(instant) - Date.now()) / 1000));
  if (seconds < 60) return length(seconds, "second");
  const days = Math.floor(seconds / 86_400);
  const parts = [Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60, seconds % 60];
  const clock = parts.map((part) => String(part).padStart(2, "0")).join(":");
  return days > 0 ? `${length(days, "day")} ${clock}` : clock;
}
