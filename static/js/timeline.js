// The timeline: starts at the newest node, follows the arrow keys, and marks the node
// whose card is open. Without this script it is a list of links.
const KEYS = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 };

function links(timeline) {
  return [...timeline.querySelectorAll(".timeline-link")];
}

function reveal(timeline) {
  const frame = timeline.parentElement;
  const link = timeline.querySelector(".timeline-link[aria-current]");
  if (!link) return;
  const node = link.getBoundingClientRect();
  const box = frame.getBoundingClientRect();
  frame.scrollLeft += node.left + node.width / 2 - (box.left + box.width / 2);
  frame.scrollTop += node.top + node.height / 2 - (box.top + box.height / 2);
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-timeline] .timeline-link");
  if (!link) return;
  for (const one of links(link.closest("[data-timeline]"))) one.removeAttribute("aria-current");
  link.setAttribute("aria-current", "true");
});

document.addEventListener("keydown", (event) => {
  const link = event.target.closest?.("[data-timeline] .timeline-link");
  if (!link || event.ctrlKey || event.metaKey || event.altKey) return;
  const all = links(link.closest("[data-timeline]"));
  let next = all[all.indexOf(link) + (KEYS[event.key] ?? NaN)];
  if (event.key === "Home") next = all[0];
  if (event.key === "End") next = all.at(-1);
  if (!next) return;
  event.preventDefault();
  next.focus();
  next.scrollIntoView({ block: "nearest", inline: "center" });
});

document.querySelectorAll("[data-timeline]").forEach(reveal);
