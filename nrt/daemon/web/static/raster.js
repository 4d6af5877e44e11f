// The spike raster: the last seconds of the stream, moving to the left. Only what is new is drawn.

import { colour } from "./text.js";

export const SPAN = 4e6; // µs of stream across

export class Raster {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false });
    this.bands = [];
    this.lines = 0;
    this.layout = -1;
    this.at = null; // the pixel, counted from the stream's beginning, at the right edge
    new ResizeObserver(() => this.resize()).observe(canvas);
    this.resize();
  }

  /** Which populations have which lines; frames of another layout are not drawn. */
  arrange(bands, layout) {
    if (layout === this.layout && bands.length === this.bands.length) return;
    [this.bands, this.layout] = [bands, layout];
    this.lines = bands.reduce((sum, band) => sum + band.lines, 0);
    this.clear();
  }

  resize() {
    const scale = devicePixelRatio;
    const [width, height] = [this.canvas.clientWidth * scale, this.canvas.clientHeight * scale].map(Math.round);
    if (!width || (width === this.canvas.width && height === this.canvas.height)) return;
    [this.canvas.width, this.canvas.height] = [width, height];
    this.clear();
  }

  clear() {
    const { context, canvas } = this;
    context.fillStyle = colour("sensor");
    context.fillRect(0, 0, canvas.width, canvas.height);
    this.at = null;
  }

  add({ dots, end, layout }) {
    const { context, canvas, lines } = this;
    if (layout !== this.layout || !lines || !canvas.width) return;
    const perUs = canvas.width / SPAN;
    const at = Math.floor(end * perUs);
    if (this.at === null || at < this.at || at - this.at > canvas.width) this.clear();
    else if (at > this.at) this.scroll(at - this.at);
    this.at = at;
    const height = canvas.height / lines;
    const tall = Math.max(Math.floor(height * 0.8), 1);
    const wide = Math.max(Math.round(devicePixelRatio * 1.5), 1);
    context.fillStyle = colour("accent");
    for (let k = 0; k < dots.byteLength; k += 8) {
      const x = Math.floor((end - dots.getInt32(k, true)) * perUs) - at + canvas.width - wide;
      context.fillRect(x, Math.floor(dots.getUint16(k + 4, true) * height), wide, tall);
    }
  }

  scroll(by) {
    const { context, canvas } = this;
    context.drawImage(canvas, -by, 0);
    context.fillStyle = colour("sensor");
    context.fillRect(canvas.width - by, 0, by, canvas.height);
    context.fillStyle = colour("rule");
    for (const band of this.bands.slice(1)) {
      context.fillRect(canvas.width - by, Math.floor((band.first * canvas.height) / this.lines), by, 1);
    }
  }
}
