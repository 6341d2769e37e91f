// The keys of a page. An element with data-key="n" is clicked (a field: focused) by that
// key; with data-key-label it is listed by "?". Keys that a script handles itself are
// listed by an element with data-key-label and data-key-passive.
const CAPS = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Enter: "⏎" };

function typing(target) {
  return target.isContentEditable || target.matches?.("input:not([type=checkbox], [type=radio], [type=range], [type=button]), select, textarea");
}

function visible(element) {
  return element.dataset.keyPassive !== undefined || element.checkVisibility();
}

function showHelp() {
  const dialog = document.createElement("dialog");
  dialog.className = "dialog";
  dialog.setAttribute("aria-label", "Keys of this page");
  const title = document.createElement("h2");
  title.className = "dialog-title";
  title.textContent = "Keys of this page";
  const list = document.createElement("dl");
  list.className = "key-list";
  const rows = [...document.querySelectorAll("[data-key][data-key-label]")]
    .filter(visible)
    .map((element) => [element.dataset.key, element.dataset.keyLabel]);
  rows.push(["?", "Show this list"], ["Esc", "Close what is open"]);
  for (const [keys, label] of new Map(rows)) {
    const term = document.createElement("dt");
    for (const key of keys.split(" ")) {
      const cap = document.createElement("kbd");
      cap.textContent = CAPS[key] ?? key;
      term.append(cap, " ");
    }
    const words = document.createElement("dd");
    words.textContent = label;
    list.append(term, words);
  }
  const actions = document.createElement("div");
  actions.className = "dialog-actions";
  const close = document.createElement("button");
  close.type = "button";
  close.className = "button";
  close.dataset.dialogClose = "";
  close.textContent = "Close";
  actions.append(close);
  dialog.append(title, list, actions);
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-key-help]")) showHelp();
});

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (typing(event.target) || document.querySelector("dialog[open]")) return;
  if (event.key === "?") {
    event.preventDefault();
    showHelp();
    return;
  }
  const element = [...document.querySelectorAll("[data-key]:not([data-key-passive])")]
    .filter(visible)
    .find((one) => one.dataset.key.split(" ").includes(event.key));
  if (!element || element.disabled) return;
  event.preventDefault();
  if (typing(element)) element.focus();
  else element.click();
});
