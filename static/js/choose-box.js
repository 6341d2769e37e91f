// A click on a box of a photo does what its row's button does; where the row asks which
// animal it is, the row gets the focus instead.
document.addEventListener("finwave:box", (event) => {
  const row = document.querySelector(`tr[data-box="${event.detail.id}"]`);
  if (!row) return;
  const only = row.querySelector("button[data-choose]");
  if (only) {
    only.click();
    return;
  }
  row.scrollIntoView({ block: "nearest" });
  row.querySelector("button")?.focus();
});
