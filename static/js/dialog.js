// <button data-dialog-open="id"> opens the <dialog id>; [data-dialog-close] and a click
// on the backdrop close it.
document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-dialog-open]");
  if (opener) {
    document.getElementById(opener.dataset.dialogOpen)?.showModal();
    return;
  }
  const closer = event.target.closest("[data-dialog-close]");
  if (closer) closer.closest("dialog")?.close();
  else if (event.target instanceof HTMLDialogElement) event.target.close();
});
