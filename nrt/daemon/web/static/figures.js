// The tiles, the latency histogram and the figures over time.

import { Chart, histogram } from "./chart.js";
import { $, count, digits, make, say, short, time } from "./text.js";

const KEPT = 310; // seconds

/** Differences per second of a counter between two moments; null where it began anew or stood. */
const rate = (name) => (a, b) =>
  b.time - a.time > 0.2 && b[name] >= a[name] ? (b[name] - a[name]) / (b.time - a.time) : null;

/** Watts of the first energy figure over moments. It is read every few seconds: between two readings it stays. */
function powers(moments) {
  let last = null;
  let watts = null;
  return moments.map(({ time, energy }) => {
    const joules = energy?.[0]?.joules;
    if (joules === undefined) return null;
    if (last && joules < last.joules) [last, watts] = [null, null];
    if (joules !== last?.joules) {
      if (last) watts = (joules - last.joules) / (time - last.time);
      last = { time, joules };
    }
    return watts;
  });
}

const over = (take) => (moments) => moments.map((each, k) => (k ? take(moments[k - 1], each) : null));
const RATES = { events: rate("events"), spikes: rate("spikes"), lost: rate("lost") };

export class Figures {
  constructor() {
    this.history = [];
    this.tiles = new Map();
    this.charts = [
      [new Chart("Events", (v) => short(v, "ev/s"), "on"), over(RATES.events)],
      [new Chart("Spikes", (v) => short(v, "sp/s")), over(RATES.spikes)],
      [new Chart("Lost", (v) => short(v, "ev/s"), "bad"), over(RATES.lost)],
      [new Chart("Power", (v) => short(v, "W"), "good"), powers],
      [new Chart("Temperature", (v) => `${digits(v)} °C`, "off"), (moments) => moments.map(({ temperature }) => temperature)],
    ];
    $("charts").append(...this.charts.map(([chart]) => chart.element));
  }

  /** Another pipeline, or the same one again: what is known of its last minutes. */
  restart(history) {
    this.history = history;
    this.second = 0;
  }

  /** The figures of a moment. own: those of this page's view */
  show(figures, own) {
    const before = this.history.findLast((each) => each.time < figures.time - 0.9) ?? figures;
    const per = Object.fromEntries(Object.entries(RATES).map(([name, take]) => [name, take(before, figures)]));
    if (figures.time - (this.history.at(-1)?.time ?? 0) > 0.9) {
      this.history.push(figures);
      this.history = this.history.filter((each) => each.time > figures.time - KEPT);
      this.over();
    }
    this.tell(figures, per, own);
    this.late(figures.latency);
  }

  /** Draws what runs over time. */
  over() {
    for (const [chart, take] of this.charts) {
      const values = take(this.history);
      chart.draw(this.history.map(({ time }, k) => [time, values[k]]));
    }
  }

  late(latency) {
    const some = latency?.packets;
    say($("latency-note"), some ? `p50 ${time(latency.p50)}, p99 ${time(latency.p99)}, p99.9 ${time(latency.p999)}, longest ${time(latency.maximum)}; from when events were ${latency.since === "schedule" ? "due" : "read"}` : "no packets yet");
    histogram($("histogram"), latency, time);
    const phases = latency?.phases ?? [];
    $("phases").hidden = !phases.length;
    $("phases").tBodies[0].replaceChildren(
      ...phases.map(([name, what, p50, p99]) => make("tr", { title: what }, make("th", { scope: "row", text: name }), make("td", { text: time(p50) }), make("td", { text: time(p99) }))),
    );
  }

  tell(f, per, own) {
    const running = f.state === "running";
    const lost = f.lost + f.dropped;
    this.tile("Events", running ? short(per.events, "ev/s") : "–", `${count(f.events)} in all`);
    this.tile("Lost", count(f.lost), lost ? `${short(per.lost ?? 0, "ev/s")}${f.dropped ? `, ${count(f.dropped)} not recorded or sent` : ""}` : "nothing", f.lost ? "bad" : "");
    this.tile("Spikes", running ? short(per.spikes, "sp/s") : "–", `${count(f.spikes)} in all`);
    this.tile("Latency p99", f.latency?.packets ? time(f.latency.p99) : "–", f.latency?.packets ? `half below ${time(f.latency.p50)}${f.misses ? `, ${count(f.misses)} too late` : ""}` : "no packets");
    const behind = f.latency?.since === "schedule" && f.real_time_factor !== null && f.real_time_factor < 0.95;
    this.tile("Real time", f.real_time_factor === null ? "–" : `${digits(f.real_time_factor)} ×`, behind ? "it falls behind" : "seconds of stream per second", behind ? "warn" : "");
    for (const [k, each] of (f.energy ?? []).entries()) {
      const name = k ? `Energy ${k + 1}` : "Energy";
      const watts = k === 0 ? powers(this.history).at(-1) : null;
      const rate = watts === null || watts === undefined ? "" : `${short(watts, "W")}, `;
      this.tile(name, short(each.joules, "J"), `${rate}${each.kind}, ${each.boundary}`, "", each.source);
    }
    if (!f.energy?.length) this.tile("Energy", "–", "not known on this device");
    if (f.temperature !== null) this.tile("Temperature", `${digits(f.temperature)} °C`, "of the machine");
    this.tile("Restarts", count(f.restarts), f.alarms ? `${count(f.alarms)} alarms` : "no alarms", f.restarts ? "warn" : "");
    const queued = Object.values(f.queues ?? {}).reduce((sum, n) => sum + n, 0);
    this.tile("Queued", count(queued), Object.entries(f.queues ?? {}).map(([name, n]) => `${name} ${n}`).join(", ") || "packets");
    this.tile("This view", own ? `${Math.round(own.fps)} fps` : "–", own?.age ? `${time(own.age[0])} old when drawn` : "no frames");
  }

  tile(name, value, note, mood = "", title = "") {
    let found = this.tiles.get(name);
    if (!found) {
      found = { value: make("b"), note: make("span") };
      found.element = make("div", { class: "tile" }, make("h3", { text: name }), found.value, found.note);
      this.tiles.set(name, found);
      $("tiles").append(found.element);
    }
    say(found.value, value);
    say(found.note, note);
    found.element.dataset.mood = mood;
    if (found.element.title !== title) found.element.title = title;
  }
}
