// Pictures in [data-zoom] are magnified together, about the same relative point, by
// [data-zoom-toggle] or a double click; the pointer moves that point.

// A sheet of our own instead of style attributes, which the page's policy forbids in
// whatever copies the page.
const sheet = new CSSStyleSheet();
document.adoptedStyleSheets.push(sheet);

function toggle() {
  const zoomed = !document.querySelector("[data-zoom].is-zoomed");
  for (const picture of document.querySelectorAll("[data-zoom]")) {
    picture.classList.toggle("is-zoomed", zoomed);
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
  const over = event.target.closest?.("[data-zoom].is-zoomed");
  if (!over) return;
  const box = over.getBoundingClientRect();
  const x = (100 * (event.clientX - box.left)) / box.width;
  const y = (100 * (event.clientY - box.top)) / box.height;
  sheet.replaceSync(`[data-zoom] img { transform-origin: ${x}% ${y}%; }`);
});
