// The one client of live events. Every [data-live-job] element gets each message of its job
// exactly once and in order, from data-live-after on, as a bubbling "finwave:job-event";
// while the socket is open the element carries data-live-open.
const FINAL_CODES = [4403, 4404, 4410]; // not allowed, no such job, ended: never asked again
const KEPT = 500; // messages for elements that are swapped in a little behind
const ACKNOWLEDGE_EVERY = 100; // see WINDOW in finwave/jobs/consumers.py
const feeds = new Map();

class Feed {
  elements = new Map(); // element -> number of the last message it got
  kept = [];
  retries = 0;
  constructor(job, cursor) {
    Object.assign(this, { job, cursor });
    this.open();
  }
  open() {
    const url = `${location.origin.replace("http", "ws")}/ws/jobs/${this.job}/?after=${this.cursor}`;
    const socket = (this.socket = new WebSocket(url));
    socket.onopen = () => this.mark();
    socket.onmessage = ({ data }) => this.socket === socket && this.receive(JSON.parse(data));
    socket.onclose = ({ code }) => {
      if (this.socket !== socket) return;
      this.mark();
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
  mark() {
    const isOpen = this.socket.readyState === WebSocket.OPEN;
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
  add(element, after) {
    this.elements.set(element, after);
    const oldest = this.kept.length ? this.kept[0].seq : this.cursor + 1;
    if (after >= oldest - 1) {
      for (const message of [...this.kept]) this.give(element, message);
    } else {
      this.close();
      Object.assign(this, { cursor: after, kept: [] });
      this.open();
    }
    this.mark();
  }
}

function sync() {
  for (const element of document.querySelectorAll("[data-live-job]")) {
    const job = element.dataset.liveJob;
    const after = Number(element.dataset.liveAfter) || 0;
    // One inside another of the same job hears of it through that one.
    if (element.parentElement.closest(`[data-live-job="${job}"]`)) continue;
    if (!feeds.has(job)) feeds.set(job, new Feed(job, after));
    if (!feeds.get(job).elements.has(element)) feeds.get(job).add(element, after);
  }
  for (const [job, feed] of feeds) {
    for (const element of feed.elements.keys()) element.isConnected || feed.elements.delete(element);
    if (!feed.elements.size && feeds.delete(job)) feed.close();
  }
}

new MutationObserver(sync).observe(document.documentElement, { childList: true, subtree: true });
sync();
