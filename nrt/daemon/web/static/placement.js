// The placement map: what went where on the device, and how much of it fires.

import { $, make, say, short } from "./text.js";

export class Placement {
  constructor() {
    this.meters = new Map();
  }

  /** Draws the map of a pipeline: one box for each place of the device, in it what lies there. */
  arrange({ placement, populations }) {
    const map = $("map");
    map.replaceChildren();
    this.meters.clear();
    if (!placement) {
      say($("placement-note"), "");
      map.append(make("p", { text: "Nothing is deployed." }));
      return;
    }
    say($("placement-note"), `${placement.network} on ${placement.device}`);
    const places = Map.groupBy ? Map.groupBy(placement.rows, (row) => row.where) : group(placement.rows);
    const boxes = [...places].map(([where, rows]) =>
      make("section", { class: "place" }, make("h4", { text: where || placement.device }), make("ul", {}, ...rows.map((row) => this.row(row, populations)))),
    );
    map.append(make("div", { class: "places" }, ...boxes));
    if (placement.notes.length) {
      map.append(make("ul", { class: "notes" }, ...placement.notes.map((note) => make("li", { text: note }))));
    }
  }

  row(row, populations) {
    const population = populations.find((each) => each.name === row.layer);
    const parts = [make("b", { text: row.layer }), " ", make("span", { text: row.what })];
    if (row.note) parts.push(make("small", { text: row.note }));
    if (population) {
      const rate = make("span", { class: "rate" });
      this.meters.set(row.layer, rate);
      parts.push(rate);
    }
    return make("li", { class: population?.output ? "output" : "" }, ...parts);
  }

  /** Writes how often populations fire. a, b: figures of two moments */
  fire(a, b) {
    for (const [name, rate] of this.meters) {
      const [was, is] = [a.spikes_of?.[name], b.spikes_of?.[name]];
      const known = was !== undefined && is >= was && b.time > a.time;
      say(rate, known ? short((is - was) / (b.time - a.time), "sp/s") : "");
    }
  }
}

function group(rows) {
  const places = new Map();
  for (const row of rows) places.set(row.where, [...(places.get(row.where) ?? []), row]);
  return places;
}
