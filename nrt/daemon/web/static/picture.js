// The event image: every pixel glows when events come and fades within a moment.

import { colour } from "./text.js";

const FADE = 60; // ms until a pixel has a third of its light
const EVENT = 0.5; // light of one event

export class Picture {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false });
    this.light = new Float32Array(0);
    this.last = performance.now();
    this.retint();
  }

  /** Takes the colours of the style sheet, which differ by night. */
  retint() {
    const rgb = (name) => [1, 3, 5].map((at) => parseInt(colour(name).slice(at, at + 2), 16));
    const [ground, on, off] = [rgb("sensor"), rgb("on"), rgb("off")];
    this.palette = new Uint32Array(257); // 128 is nothing, above it ON, below it OFF
    for (let k = 0; k <= 256; k++) {
      const part = Math.min(Math.abs(k - 128) / 128, 1) ** 0.7;
      const to = k >= 128 ? on : off;
      const [r, g, b] = ground.map((from, c) => Math.round(from + (to[c] - from) * part));
      this.palette[k] = 0xff000000 | (b << 16) | (g << 8) | r;
    }
  }

  size(columns, rows) {
    if (this.canvas.width === columns && this.canvas.height === rows && this.light.length) return;
    this.canvas.width = columns;
    this.canvas.height = rows;
    this.light = new Float32Array(columns * rows);
    this.image = this.context.createImageData(columns, rows);
    this.pixels = new Uint32Array(this.image.data.buffer);
  }

  clear() {
    this.light.fill(0);
  }

  /** Adds the events of a frame. */
  add({ columns, rows, mask, values }) {
    if (!columns) return;
    this.size(columns, rows);
    const { light } = this;
    let next = 0;
    for (let k = 0; k < mask.length; k++) {
      let bits = mask[k];
      for (let at = 8 * k; bits; at++, bits >>= 1) {
        if (!(bits & 1)) continue;
        const value = values[next++];
        const sum = light[at] + EVENT * ((value & 15) - (value >> 4));
        light[at] = sum > 1 ? 1 : sum < -1 ? -1 : sum;
      }
    }
  }

  /** Paints what glows, a little less than before. */
  paint(now) {
    const keep = Math.exp((this.last - now) / FADE);
    this.last = now;
    const { light, pixels, palette } = this;
    if (!light.length) return;
    for (let k = 0; k < light.length; k++) {
      const value = light[k];
      pixels[k] = palette[(128.5 + 128 * value) | 0];
      if (value !== 0) light[k] = value < 0.01 && value > -0.01 ? 0 : value * keep;
    }
    this.context.putImageData(this.image, 0, 0);
  }
}
