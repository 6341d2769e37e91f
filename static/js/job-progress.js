// Moves the progress components of a job with its live events, fetches them anew when its
// state changes, and the page's [data-reload-on-end] parts when it ends.

const ENDED = ["stopped", "completed", "failed"];
const THIN = "\u202f";

const thin = (number, digits = 0) =>
  number.toLocaleString("en-GB", { minimumFractionDigits: digits, maximumFractionDigits: digits }).replaceAll(",", THIN);

// As the `duration` filter writes it.
function duration(seconds) {
  if (seconds < 10) return `${seconds.toFixed(1)}${THIN}s`;
  const whole = Math.round(seconds);
  const units = [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"], [1, "s", 1, ""]];
  const [size, unit, smallerSize, smaller] = units.find(([each]) => whole >= each);
  const rest = Math.floor((whole % size) / smallerSize);
  return `${Math.floor(whole / size)}${THIN}${unit}${rest ? ` ${rest}${THIN}${smaller}` : ""}`;
}

function showProgress(component, { n_done, n_failed, n_total, rate, time_left_s, phase }) {
  const set = (name, text) => {
    const place = component.querySelector(`[data-job-${name}]`);
    if (place && text !== undefined) place.textContent = text;
    return place;
  };
  const percent = n_total ? Math.floor((100 * n_done) / n_total) : 0;
  const bar = component.querySelector("progress");
  if (bar && n_total) bar.value = percent;
  component.querySelector("[data-job-ring]")?.setAttribute("stroke-dasharray", `${percent} 100`);
  set("percent", `${percent} %`);
  set("done", thin(n_done));
  if (n_total) set("total", thin(n_total));
  set("failed", n_failed ? `${thin(n_failed)} failed` : "");
  const unit = component.querySelector("[data-job-rate]")?.dataset.unit;
  set("rate", rate ? `${thin(rate, 1)} ${unit}/s` : "");
  set("time-left", time_left_s == null ? "" : `${duration(time_left_s)} left`);
  set("phase", phase);
}

function refetch(component) {
  const url = component.dataset.progressUrl;
  if (url) window.htmx.ajax("GET", url, { target: component, swap: "outerHTML" });
}

async function reloadParts() {
  const parts = [...document.querySelectorAll("[data-reload-on-end]")];
  if (parts.some((part) => !part.id)) return location.reload();
  const plain = parts.filter((part) => !part.hasAttribute("hx-get"));
  parts.filter((part) => part.hasAttribute("hx-get")).forEach((part) => window.htmx.trigger(part, "reload"));
  if (!parts.length) return undefined;
  // The page as a visitor gets it; what may be done next, at its head, is new as well.
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok) return undefined;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  const pairs = plain.map((part) => [part, fresh.getElementById(part.id)]);
  pairs.push([document.querySelector(".page-header"), fresh.querySelector(".page-header")]);
  for (const [part, replacement] of pairs) {
    if (!part?.isConnected || !replacement) continue;
    part.replaceWith(replacement);
    window.htmx.process(replacement);
  }
  return undefined;
}

function receive({ target, detail: { kind, data } }) {
  const job = target.dataset.liveJob;
  const inside = [...target.querySelectorAll(`[data-job-progress="${job}"]`)];
  const components = target.matches("[data-job-progress]") ? [target, ...inside] : inside;
  for (const component of components) {
    if (kind === "progress") showProgress(component, data);
    if (kind === "status") refetch(component);
  }
  // Once a job, although the rail hears of it too.
  const isInMain = target.closest("main") !== null;
  if (isInMain && kind === "status" && ENDED.includes(data.status)) reloadParts();
}

document.addEventListener("finwave:job-event", receive);
// Polling is for pages whose socket is not open.
document.addEventListener("htmx:beforeRequest", (event) => {
  const element = event.target;
  if (element.matches?.("[data-job-progress]") && element.closest("[data-live-open]")) event.preventDefault();
});
