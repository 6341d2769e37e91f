// Shows the number a slider stands at, in the output beside it.
document.addEventListener("input", (event) => {
  if (event.target.type !== "range") return;
  const output = document.querySelector(`output[for="${event.target.id}"]`);
  if (output) output.value = event.target.value;
});
