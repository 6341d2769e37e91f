// Feeds a training job's live events to the monitor page: points to the charts, lines to
// the log, and a nudge to the server-rendered reading after each epoch.

const LOG_LINES = 500;

function addPoint(monitor, point) {
  for (const chart of monitor.querySelectorAll("fw-line-chart")) {
    for (const { key } of chart.series) {
      if (point[key] !== null && point[key] !== undefined) {
        chart.upsert(key, point.epoch, point[key]);
      }
    }
    if (point.is_best) chart.markBest(point.epoch);
  }
}

function addLogLine(monitor, data) {
  const log = monitor.querySelector("[data-job-log]");
  if (!log) return;
  const line = document.createElement("li");
  const time = document.createElement("time");
  time.textContent = new Date(data.at ?? Date.now()).toLocaleTimeString("en-GB");
  line.className = `log-${data.level}`;
  line.append(time, ` ${data.message}`);
  log.append(line);
  while (log.children.length > LOG_LINES) log.firstElementChild.remove();
}

function refresh(monitor) {
  for (const part of monitor.querySelectorAll("[data-refresh-on-epoch]")) {
    window.htmx.trigger(part, "finwave:epoch");
  }
}

function receive(event) {
  const monitor = event.target.closest("[data-training-monitor]");
  if (!monitor) return;
  const { kind, data } = event.detail;
  if (kind === "metrics") {
    addPoint(monitor, data);
    if (data.val_loss === null) refresh(monitor);
  } else if (kind === "examples") {
    // Follows the figures of its epoch.
    refresh(monitor);
  } else if (kind === "log") {
    addLogLine(monitor, data);
  }
}

async function start() {
  await customElements.whenDefined("fw-line-chart");
  for (const charts of document.querySelectorAll("[data-points]:not([data-drawn])")) {
    charts.dataset.drawn = "";
    const points = JSON.parse(document.getElementById(charts.dataset.points).textContent);
    const monitor = charts.closest("[data-training-monitor]");
    for (const point of points) addPoint(monitor, point);
  }
}

document.addEventListener("finwave:job-event", receive);
document.addEventListener("htmx:load", start);
start();
