// Elements, and numbers as people read them.

/** An element with attributes (on… are listeners, text is its text) and children. */
export function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") made.textContent = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export const $ = (id) => document.getElementById(id);

/** Sets a text, if it is another: a screen reader speaks what changes. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const SCALES = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""], [1e-3, "m"], [1e-6, "µ"], [1e-9, "n"]];

/** Three digits with a prefix: 3.06 M */
export function short(value, unit = "") {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (value === 0) return unit ? `0 ${unit}` : "0";
  const size = Math.abs(value);
  const [scale, prefix] = SCALES.find(([least]) => size >= least * 0.9995) ?? SCALES.at(-1);
  const shown = digits(value / scale);
  return prefix || unit ? `${shown} ${prefix}${unit}` : shown;
}

/** A count: whole below ten thousand. */
export function count(value) {
  return Math.abs(value) < 10000 ? Math.round(value).toLocaleString("en") : short(value);
}

export function digits(value) {
  const size = Math.abs(value);
  return value.toFixed(size >= 99.95 || Number.isInteger(value) ? 0 : size >= 9.995 ? 1 : 2);
}

/** Milliseconds, as µs, ms or s. */
export function time(ms) {
  if (ms === null || ms === undefined || Number.isNaN(ms)) return "–";
  if (ms === 0) return "0 ms";
  return short(ms / 1e3, "s");
}

/** Unix seconds as the time of day here. */
export function clock(seconds) {
  return new Date(seconds * 1e3).toLocaleTimeString("en-GB");
}

/** µs of a stream as minutes and seconds. */
export function stream(us) {
  const s = us / 1e6;
  const minutes = Math.floor(s / 60);
  return `${minutes}:${(s - 60 * minutes).toFixed(1).padStart(4, "0")}`;
}

/** A colour of the style sheet, as it is now: light or dark. */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}
