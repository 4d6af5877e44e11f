// Commands: each with an id of its own, so that one that is sent again is not carried out again.

import { $, make, say } from "./text.js";

const ABLE = {
  start: ["stopped", "failed", "backoff"],
  stop: ["running", "starting", "backoff"],
  restart: ["running", "backoff", "failed"],
  reset: ["running"],
};

export class Controls {
  /** pipeline(): the name of the one that is looked at */
  constructor(pipeline) {
    this.pipeline = pipeline;
    for (const button of document.querySelectorAll("[data-verb]")) {
      button.addEventListener("click", () => this.press(button.dataset.verb));
    }
    $("set").addEventListener("submit", (event) => this.set(event));
    $("deploy").addEventListener("submit", (event) => this.deploy(event));
  }

  /** Which buttons make sense now. linked: whether the node can be reached */
  arrange(state, linked) {
    for (const button of document.querySelectorAll("[data-verb], #set button, #deploy button")) {
      const states = ABLE[button.dataset.verb];
      // not `disabled`: that would take the focus from who has just pressed it
      button.setAttribute("aria-disabled", String(!linked || !state || (states !== undefined && !states.includes(state))));
    }
  }

  async press(verb) {
    if (document.querySelector(`[data-verb=${verb}]`).getAttribute("aria-disabled") === "true") return;
    const reply = await this.command(verb);
    if (verb === "report" && reply?.ok) save(reply.result, `${this.pipeline()}-report.json`);
  }

  async set(event) {
    event.preventDefault();
    const { name, value } = event.target.elements;
    await this.command("set", { [name.value]: value.value });
  }

  async deploy(event) {
    event.preventDefault();
    const file = event.target.elements.file.files[0];
    this.tell(`uploading ${file.name} …`);
    const taken = await this.ask("/api/models", { method: "POST", body: file });
    if (taken) await this.command("deploy", { path: taken.path });
  }

  /** Sends a command and says what became of it. */
  async command(verb, given = {}) {
    const pipeline = this.pipeline();
    this.tell(`${verb} ${pipeline} …`);
    const body = JSON.stringify({ id: identity(), verb, pipeline, arguments: given });
    const reply = await this.ask("/api/command", { method: "POST", headers: { "Content-Type": "application/json" }, body });
    if (reply) this.tell(reply.ok ? `${verb} ${pipeline}: done` : `${verb} ${pipeline}: ${reply.error}`, !reply.ok);
    return reply;
  }

  /** The answer's JSON; null where there is none, which is said. */
  async ask(path, request) {
    try {
      const answer = await fetch(path, { ...request, signal: AbortSignal.timeout(60000) });
      const data = await answer.json();
      if (answer.ok || "ok" in data) return data;
      this.tell(data.error, true);
    } catch (error) {
      this.tell(error.name === "TimeoutError" ? "no answer within a minute" : "the node cannot be reached", true);
    }
    return null;
  }

  tell(text, bad = false) {
    say($("reply"), text);
    $("reply").classList.toggle("bad", bad);
  }
}

/** Sixteen random bytes: crypto.randomUUID is there for https only. */
function identity() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function save(data, name) {
  const url = URL.createObjectURL(new Blob([JSON.stringify(data, null, 2)], { type: "application/json" }));
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
