// The one client of live events. Every [data-live-job] element gets each message of its
// job exactly once and in order, from data-live-after on, as a bubbling event
// "finwave:job-event"; while the socket is open the element carries data-live-open.

// Not allowed, no such job, ended: asking again would not help.
const FINAL_CODES = [4403, 4404, 4410];
// Messages kept for elements that are swapped in a little behind.
const KEPT = 500;
// The server waits for these; see WINDOW in finwave/jobs/consumers.py.
const ACKNOWLEDGE_EVERY = 100;

const feeds = new Map();

class Feed {
  constructor(job, cursor) {
    this.job = job;
    this.cursor = cursor;
    this.elements = new Map(); // element -> number of the last message it got
    this.kept = [];
    this.retries = 0;
    this.open();
  }

  open() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const url = `${scheme}://${location.host}/ws/jobs/${this.job}/?after=${this.cursor}`;
    const socket = (this.socket = new WebSocket(url));
    socket.onopen = () => this.mark(true);
    socket.onmessage = ({ data }) => this.socket === socket && this.receive(JSON.parse(data));
    socket.onclose = ({ code }) => {
      if (this.socket !== socket) return;
      this.mark(false);
      if (FINAL_CODES.includes(code)) return;
      const wait = Math.min(500 * 2 ** this.retries++, 30000);
      this.timer = setTimeout(() => this.open(), wait * (0.5 + Math.random()));
    };
  }

  close() {
    clearTimeout(this.timer);
    const socket = this.socket;
    this.socket = null;
    socket.close();
  }

  mark(isOpen) {
    for (const element of this.elements.keys()) element.toggleAttribute("data-live-open", isOpen);
  }

  receive(message) {
    if (message.seq <= this.cursor) return;
    this.cursor = message.seq;
    this.retries = 0;
    if (this.kept.push(message) > KEPT) this.kept.shift();
    if (message.seq % ACKNOWLEDGE_EVERY === 0) this.socket.send(String(message.seq));
    for (const element of [...this.elements.keys()]) this.give(element, message);
  }

  give(element, message) {
    if (message.seq <= this.elements.get(element)) return;
    this.elements.set(element, message.seq);
    element.dispatchEvent(new CustomEvent("finwave:job-event", { bubbles: true, detail: message }));
  }

  add(element) {
    const after = Number(element.dataset.liveAfter) || 0;
    this.elements.set(element, after);
    element.toggleAttribute("data-live-open", this.socket.readyState === WebSocket.OPEN);
    const oldest = this.kept.length ? this.kept[0].seq : this.cursor + 1;
    if (after >= oldest - 1) {
      for (const message of [...this.kept]) this.give(element, message);
    } else {
      this.close();
      Object.assign(this, { cursor: after, kept: [] });
      this.open();
    }
  }
}

function sync() {
  for (const element of document.querySelectorAll("[data-live-job]")) {
    const { liveJob: job, liveAfter } = element.dataset;
    // One inside another of the same job hears what bubbles past its parent's.
    if (element.parentElement.closest(`[data-live-job="${job}"]`)) continue;
    if (!feeds.has(job)) feeds.set(job, new Feed(job, Number(liveAfter) || 0));
    if (!feeds.get(job).elements.has(element)) feeds.get(job).add(element);
  }
  for (const [job, feed] of feeds) {
    for (const element of feed.elements.keys()) {
      if (!element.isConnected) feed.elements.delete(element);
    }
    if (!feed.elements.size) {
      feed.close();
      feeds.delete(job);
    }
  }
}

new MutationObserver(sync).observe(document.documentElement, { childList: true, subtree: true });
sync();
