// The WebSocket, and what becomes of it: it is opened again, ever more rarely, until it stands.

const FIRST = 500; // ms until the first attempt
const MOST = 5000;
const QUIET = 4000; // figures come twice a second: after so long without any the connection is gone

export class Link {
  /** told(state, text): of every change · message(object), frame(buffer): of what comes · greet(link): once it stands */
  constructor({ told, message, frame, greet }) {
    Object.assign(this, { told, message, frame, greet });
    this.delay = FIRST;
    this.since = null;
    addEventListener("online", () => this.retry());
    document.addEventListener("visibilitychange", () => document.hidden || this.retry());
  }

  open() {
    clearTimeout(this.timer);
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = (this.socket = new WebSocket(`${scheme}://${location.host}/api/live`));
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.delay = FIRST;
      this.since = null;
      this.told("live", "live");
      this.heard();
      this.greet(this);
    };
    socket.onmessage = ({ data }) => {
      this.heard();
      if (typeof data === "string") this.message(JSON.parse(data));
      else this.frame(data);
    };
    socket.onclose = () => socket === this.socket && this.lost();
  }

  /** Sends an object, if somebody is there. */
  send(object) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(object));
  }

  heard() {
    this.last = Date.now();
    clearTimeout(this.watch);
    this.watch = setTimeout(() => this.lost(), QUIET);
  }

  lost() {
    clearTimeout(this.watch);
    const socket = this.socket;
    this.socket = null;
    if (socket) {
      socket.onclose = null;
      socket.close();
    }
    this.since ??= new Date();
    const wait = this.delay * (0.75 + Math.random() / 2);
    this.delay = Math.min(2 * this.delay, MOST);
    this.told("lost", `connection lost at ${this.since.toLocaleTimeString("en-GB")}, trying again`);
    this.timer = setTimeout(() => this.again(), wait);
  }

  /** A daemon that wants its token anew answers a page with the login form, and a WebSocket with nothing to read. */
  async again() {
    try {
      const answer = await fetch("/api/info", { cache: "no-store" });
      if (answer.status === 401) location.reload();
    } catch {
      this.lost();
      return;
    }
    this.open();
  }

  retry() {
    if (this.socket || this.since === null) return;
    this.delay = FIRST;
    clearTimeout(this.timer);
    this.again();
  }
}
