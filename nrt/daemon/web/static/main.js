// The dashboard: what comes from the node goes to the parts of the page, and once in every frame of the screen they draw.

import { Controls } from "./controls.js";
import { Figures } from "./figures.js";
import { read } from "./frame.js";
import { Link } from "./link.js";
import { Alarms, Decisions, Log } from "./lists.js";
import { Picture } from "./picture.js";
import { Placement } from "./placement.js";
import { Raster, SPAN } from "./raster.js";
import { $, count, make, say, short } from "./text.js";

const chosen = () => pipelines.get(name) ?? null;
let pipelines = new Map();
let name = decodeURIComponent(location.hash.slice(1));
let arranged = "";
let frozen = false;
let waiting = []; // frames that are not drawn yet
let own = null;
let fps = 0;
let figures = null;

const picture = new Picture($("picture"));
const raster = new Raster($("raster"));
const values = new Figures();
const placement = new Placement();
const decisions = new Decisions();
const alarms = new Alarms();
const controls = new Controls(() => name);
const log = new Log(() => name);

/** For measuring: frames drawn, and how old each of the last was when it was drawn, ms. */
const seen = (window.seen = { drawn: 0, events: 0, ages: [] });

const link = new Link({
  told(state, text) {
    const [box, body] = [$("link"), document.body];
    box.dataset.link = state;
    say(box, text);
    body.classList.toggle("lost", state !== "live");
    controls.arrange(chosen()?.state, state === "live");
  },
  greet: () => view(name),
  frame(buffer) {
    const frame = read(buffer);
    if (frame) waiting.push(frame);
    if (waiting.length > 8) waiting.shift();
  },
  message: (message) => HANDLERS[message.type]?.(message),
});

const HANDLERS = {
  node({ info }) {
    say($("node"), info.node);
    document.title = `${info.node} – nrt`;
  },
  pipelines({ pipelines: all }) {
    pipelines = new Map(all.map((each) => [each.name, each]));
    if (!pipelines.has(name) && all.length) view(all[0].name);
    arrange();
  },
  notices({ notices }) {
    decisions.clear();
    for (const notice of notices) if (notice.type === "decision") HANDLERS.decision(notice);
  },
  history: ({ pipeline, figures }) => pipeline === name && values.restart(figures),
  stats({ pipelines: all }) {
    const now = all[name];
    if (!now) return;
    if (figures) placement.fire(figures, now);
    figures = now;
    values.show(now, own && { ...own, fps });
  },
  viewer(message) {
    fps = own ? 0.5 * fps + message.frames : 2 * message.frames; // it comes twice a second
    own = message;
  },
  state(notice) {
    const pipeline = pipelines.get(notice.pipeline);
    if (!pipeline) return;
    Object.assign(pipeline, { state: notice.state, reason: notice.reason });
    arrange();
  },
  decision: (notice) => notice.pipeline === name && decisions.add(notice),
  alarm: (notice) => alarms.show(notice),
  log: ({ lines, whole }) => log.add(lines, whole),
};

/** Looks at a pipeline. */
function view(which) {
  const other = which !== name;
  name = which;
  waiting = [];
  own = figures = null;
  if (other) {
    picture.clear();
    raster.clear();
    decisions.clear();
    history.replaceState(null, "", `#${encodeURIComponent(name)}`);
    log.draw();
  }
  if (name) link.send({ view: name });
  arrange();
}

/** Writes what a pipeline is and does. */
function arrange() {
  tabs();
  const pipeline = chosen();
  controls.arrange(pipeline?.state, $("link").dataset.link === "live");
  if (!pipeline) return;
  say($("about-name"), pipeline.name);
  $("state").dataset.state = pipeline.state;
  say($("state"), pipeline.reason ? `${pipeline.state}: ${pipeline.reason}` : pipeline.state);
  const through = pipeline.filter ? ` → ${pipeline.filter}` : "";
  say($("path"), `${pipeline.source}${through} → ${pipeline.network} → ${pipeline.device}`);
  raster.arrange(pipeline.bands, pipeline.layout);
  say($("spikes-note"), `${pipeline.bands.map((band) => `${band.name} ${count(band.size)}`).join(", ")}${pipeline.bands.length ? `, last ${SPAN / 1e6} s` : ""}`);
  const drawn = JSON.stringify([pipeline.name, pipeline.placement]);
  if (drawn !== arranged) placement.arrange(pipeline);
  arranged = drawn;
  $("options").replaceChildren(...(pipeline.options ?? []).map((value) => make("option", { value })));
}

function tabs() {
  const nav = $("pipelines");
  const buttons = new Map([...nav.children].map((each) => [each.dataset.name, each]));
  for (const [key, button] of buttons) if (!pipelines.has(key)) button.remove();
  for (const { name: key, state } of pipelines.values()) {
    const button = buttons.get(key) ?? make("button", { type: "button", "data-name": key, onclick: () => view(key) }, make("i"), key, make("span", { class: "hidden" }));
    if (!buttons.has(key)) nav.append(button);
    button.dataset.state = state;
    say(button.lastChild, `, ${state}`);
    button.setAttribute("aria-current", String(key === name));
  }
}

function draw(now) {
  requestAnimationFrame(draw);
  if (waiting.length) {
    const frames = waiting;
    waiting = [];
    if (!frozen) for (const frame of frames) add(frame);
    const last = frames.at(-1);
    link.send({ drawn: last.number });
    seen.drawn += frames.length;
    if (seen.ages.push(performance.timeOrigin + performance.now() - last.came) > 4096) seen.ages.shift();
  }
  if (frozen) return;
  picture.paint(now);
  decisions.draw(chosen()?.labels ?? [], chosen()?.decide_us);
}

function add(frame) {
  picture.add(frame);
  raster.add(frame);
  seen.events += frame.events;
}

/** A picture is told in words once a second. */
function describe() {
  const pipeline = chosen();
  if (!pipeline || !figures) return;
  const [, height, width] = pipeline.shape ?? [0, 0, 0];
  const binned = picture.canvas.width && width > picture.canvas.width ? `, shown at ${picture.canvas.width} × ${picture.canvas.height}` : "";
  say($("events-note"), width ? `${width} × ${height}${binned}` : "the source does not say how large its sensor is");
  $("picture").setAttribute("aria-label", `Event image of ${pipeline.name}, ${width} by ${height} pixels, ${pipeline.state}`);
  $("raster").setAttribute("aria-label", `Spike raster: ${Object.entries(figures.spikes_of ?? {}).map(([key, n]) => `${key} ${short(n)} spikes in all`).join(", ") || "no spikes"}`);
}

function freeze() {
  frozen = !frozen;
  $("freeze").setAttribute("aria-pressed", String(frozen));
  document.body.classList.toggle("frozen", frozen);
}

const KEYS = {
  "1 … 9": ["look at that pipeline", null],
  f: ["freeze or go on", freeze],
  c: ["to the controls", () => document.querySelector("[data-verb]").focus()],
  "/": ["to the filter of the log", () => $("log-text").focus()],
  "?": ["this help", () => $("help").showModal()],
};

function keys() {
  for (const [key, [what]] of Object.entries(KEYS)) $("keys").append(make("dt", {}, make("kbd", { text: key })), make("dd", { text: what }));
  const box = $("keys-on");
  box.checked = localStorage.getItem("keys") !== "off";
  box.addEventListener("change", () => localStorage.setItem("keys", box.checked ? "on" : "off"));
  addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input, select, textarea, dialog[open]");
    if (!box.checked || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    const which = [...pipelines.keys()][Number(event.key) - 1];
    const act = which ? () => view(which) : KEYS[event.key]?.[1];
    if (!act) return;
    event.preventDefault();
    act();
  });
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  picture.retint();
  raster.clear();
});
$("freeze").addEventListener("click", freeze);
$("help-open").addEventListener("click", () => $("help").showModal());
keys();
log.draw();
setInterval(describe, 1000);
link.open();
requestAnimationFrame(draw);
