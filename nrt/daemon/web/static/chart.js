// Small plots on canvases: a figure over time, and a histogram.

import { colour, make, say } from "./text.js";

const SECONDS = 300;

/** The canvas's context at the screen's resolution, empty, in CSS pixels. */
function fresh(canvas) {
  const [width, height, scale] = [canvas.clientWidth, canvas.clientHeight, devicePixelRatio];
  const [w, h] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

/** One figure over the last five minutes: its name, its present value and a line. */
export class Chart {
  /** show: value → text · ink: a colour of the style sheet */
  constructor(name, show, ink = "accent") {
    [this.name, this.show, this.ink] = [name, show, ink];
    this.points = [];
    this.now = make("b");
    this.top = make("small");
    this.canvas = make("canvas", { role: "img", "aria-label": name });
    this.element = make("figure", { class: "chart" }, make("figcaption", {}, `${name} `, this.now, this.top), this.canvas);
  }

  /** points: [[Unix seconds, value or null], …] in order */
  draw(points) {
    this.element.hidden = !points.some(([, value]) => value !== null);
    if (this.element.hidden) return;
    const { context, width, height } = fresh(this.canvas);
    const values = points.map(([, value]) => value).filter((value) => value !== null);
    const top = Math.max(...values, 1e-12);
    const last = points.at(-1)[1];
    const newest = points.at(-1)[0];
    say(this.now, this.show(last));
    say(this.top, `most ${this.show(Math.max(...values))}`);
    this.canvas.setAttribute("aria-label", `${this.name}: now ${this.show(last)}, most ${this.show(Math.max(...values))}`);
    context.strokeStyle = colour("rule");
    context.beginPath();
    for (let minute = 0; minute <= 5; minute++) {
      const x = Math.round(width - (minute * 60 * width) / SECONDS) - 0.5;
      context.moveTo(x, 0);
      context.lineTo(x, height);
    }
    context.stroke();
    context.strokeStyle = colour(this.ink);
    context.lineWidth = 1.5;
    context.lineJoin = "round";
    context.beginPath();
    let drawing = false;
    for (const [time, value] of points) {
      const x = width - ((newest - time) * width) / SECONDS;
      if (value === null) drawing = false;
      else {
        const y = height - 1 - (value / top) * (height - 4);
        if (drawing) context.lineTo(x, y);
        else context.moveTo(x, y);
        drawing = true;
      }
    }
    context.stroke();
  }
}

/** Bars of packets over latency, which runs by powers; lines at the percentiles. latency: as in the report, with bars. */
export function histogram(canvas, latency, show) {
  const { context, width, height } = fresh(canvas);
  const bars = latency?.bars ?? [];
  if (!bars.length) {
    canvas.setAttribute("aria-label", "Latency histogram: no packets yet");
    return;
  }
  const base = height - 16;
  const low = Math.log10(Math.max(bars[0][0], 1000) / 1.3);
  const high = Math.log10(Math.max(bars.at(-1)[1], 10 ** (low + 1)) * 1.3);
  const x = (ns) => ((Math.log10(Math.max(ns, 1000)) - low) / (high - low)) * width;
  const most = Math.max(...bars.map(([, , n]) => n));
  context.font = "11px system-ui, sans-serif";
  context.fillStyle = colour("soft");
  context.strokeStyle = colour("rule");
  context.textAlign = "center";
  for (let power = Math.ceil(low); power <= high; power++) {
    const at = Math.round(x(10 ** power)) + 0.5;
    context.beginPath();
    context.moveTo(at, 0);
    context.lineTo(at, base);
    context.stroke();
    if (at > 16 && at < width - 16) context.fillText(show(10 ** power / 1e6), at, height - 3);
  }
  context.fillStyle = colour("accent");
  for (const [from, to, n] of bars) {
    const tall = Math.max((n / most) * (base - 14), 1.5);
    context.fillRect(x(from), base - tall, Math.max(x(to + 1) - x(from) - 1, 1), tall);
  }
  context.strokeStyle = colour("bad");
  context.fillStyle = colour("ink");
  context.setLineDash([3, 3]);
  let right = -Infinity;
  for (const [name, value] of [["p50", latency.p50], ["p99", latency.p99], ["p99.9", latency.p999]]) {
    const at = Math.round(x(value * 1e6)) + 0.5;
    context.beginPath();
    context.moveTo(at, 12);
    context.lineTo(at, base);
    context.stroke();
    if (at - right > 34) {
      context.fillText(name, Math.min(Math.max(at, 14), width - 18), 10);
      right = at;
    }
  }
  context.setLineDash([]);
  canvas.setAttribute("aria-label", `Latency histogram: half below ${show(latency.p50)}, 99 % below ${show(latency.p99)}`);
}
