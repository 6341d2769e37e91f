// Pictures in [data-zoom] are magnified together, about the same relative point, by
// [data-zoom-toggle] or a double click; the pointer moves that point.
const SCALE = 2.5;

function pictures() {
  return document.querySelectorAll("[data-zoom]");
}

function toggle() {
  const zoomed = !document.querySelector("[data-zoom].is-zoomed");
  for (const picture of pictures()) {
    picture.classList.toggle("is-zoomed", zoomed);
    picture.querySelector("img").style.scale = zoomed ? SCALE : "";
  }
  for (const button of document.querySelectorAll("[data-zoom-toggle]")) {
    button.setAttribute("aria-pressed", String(zoomed));
  }
}

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-zoom-toggle]")) toggle();
});

document.addEventListener("dblclick", (event) => {
  if (event.target.closest("[data-zoom]")) toggle();
});

document.addEventListener("pointermove", (event) => {
  const over = event.target.closest?.("[data-zoom]");
  if (!over) return;
  const box = over.getBoundingClientRect();
  const share = (at, start, size) => `${(100 * (at - start)) / size}%`;
  const origin = `${share(event.clientX, box.left, box.width)} ${share(event.clientY, box.top, box.height)}`;
  for (const picture of pictures()) picture.querySelector("img").style.transformOrigin = origin;
});
