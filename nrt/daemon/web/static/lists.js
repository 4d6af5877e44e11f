// What comes one by one: decisions, lines of the log, alarms.

import { $, clock, count, digits, make, say, stream } from "./text.js";

const EARLIER = 12;
const LINES = 500;
const SHOWN = 200;

export class Decisions {
  constructor() {
    this.clear();
  }

  clear() {
    this.kept = [];
    this.dirty = true;
  }

  add(decision) {
    this.kept.unshift(decision);
    this.kept.length = Math.min(this.kept.length, EARLIER + 1);
    this.dirty = true;
  }

  /** Writes what changed. labels: names of the neurons · decides: whether the pipeline has windows */
  draw(labels, decides) {
    if (!this.dirty) return;
    this.dirty = false;
    const [last, ...earlier] = this.kept;
    if (!last) {
      say($("decision"), decides ? "none yet" : "This pipeline has no decision window (decide).");
      $("votes").replaceChildren();
      $("earlier").replaceChildren();
      return;
    }
    $("decision").replaceChildren(make("b", { text: verdict(last) }), make("span", { text: ` ${stream(last.start)} to ${stream(last.end)}` }));
    $("votes").replaceChildren(...Object.entries(last.counts).flatMap(([name, values]) => votes(name, values, labels, last.winner)));
    $("earlier").replaceChildren(...earlier.map((each) => make("li", {}, make("span", { text: stream(each.end) }), " ", make("b", { text: verdict(each) }))));
  }
}

const verdict = ({ label, winner }) => label || (winner === null ? "undecided" : String(winner));

/** The neurons with most votes, at most ten, in their order. */
function votes(name, values, labels, winner) {
  const most = Math.max(...values.map(Math.abs), 1e-12);
  const ranked = values.map((value, k) => [value, k]);
  const shown = values.length <= 12 ? ranked : ranked.sort((a, b) => b[0] - a[0]).slice(0, 10).sort((a, b) => a[1] - b[1]);
  return shown.map(([value, k]) => {
    const bar = make("i");
    bar.style.width = `${(100 * Math.max(value, 0)) / most}%`;
    return make("div", { class: k === winner ? "vote winner" : "vote", title: `${name} ${k}` }, make("span", { text: labels[k] || String(k) }), make("div", {}, bar), make("span", { text: Number.isInteger(value) ? count(value) : digits(value) }));
  });
}

const LEVELS = ["debug", "info", "warning", "error", "critical"];

export class Log {
  /** pipeline(): the name of the one that is looked at */
  constructor(pipeline) {
    this.pipeline = pipeline;
    this.lines = [];
    for (const id of ["log-text", "log-level", "log-own"]) $(id).addEventListener("input", () => this.draw());
  }

  /** Takes all lines anew (whole), or those that came. */
  add(lines, whole) {
    this.lines = (whole ? [] : this.lines).concat(lines).slice(-LINES);
    this.draw();
  }

  draw() {
    const text = $("log-text").value.toLowerCase();
    const least = LEVELS.indexOf($("log-level").value);
    const own = $("log-own").checked ? this.pipeline() : "";
    const fits = (line) =>
      LEVELS.indexOf(line.level) >= least &&
      (!own || line.pipeline === own) &&
      (!text || `${line.message} ${line.pipeline}`.toLowerCase().includes(text));
    const found = this.lines.filter(fits).slice(-SHOWN).reverse();
    $("lines").replaceChildren(
      ...found.map((line) => make("li", { class: line.level }, make("time", { text: clock(line.time) }), make("span", { text: line.level }), make("span", { text: line.pipeline }), make("span", { text: line.message }))),
      ...(found.length ? [] : [make("li", { class: "none", text: this.lines.length ? "no line fits the filter" : "nothing yet" })]),
    );
  }
}

/** The newest alarm, until somebody dismisses it. */
export class Alarms {
  constructor() {
    this.box = $("alarm");
    this.box.querySelector("button").addEventListener("click", () => (this.box.hidden = true));
  }

  show({ time, pipeline, kind, text }) {
    say(this.box.querySelector("span"), `${clock(time)} ${pipeline ? `${pipeline}: ` : ""}${kind}: ${text}`);
    this.box.dataset.good = kind.endsWith(" back");
    this.box.hidden = false;
  }
}
