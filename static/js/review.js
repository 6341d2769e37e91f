// After an answer the keys belong to the next animal: focus leaves the field, and the
// page goes back up to it. A code that nobody has keeps its field, to be mended.
function workspace() {
  return document.getElementById("review");
}

document.addEventListener("htmx:afterSettle", (event) => {
  const review = workspace();
  if (!review || event.target.id !== "review") return;
  if (!review.querySelector("[data-keep-focus]") && review.contains(document.activeElement)) {
    document.activeElement.blur();
  }
  if (review.getBoundingClientRect().top < 0) review.scrollIntoView();
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || document.querySelector("dialog[open]")) return;
  if (workspace()?.contains(event.target)) event.target.blur();
});
