// Loads the module of a custom element when the page, or a fragment, first holds it.
const MODULES = {
  "fw-line-chart": "./line-chart.js",
  "fw-boxes": "./box-overlay.js",
};

function load(root) {
  for (const [name, module] of Object.entries(MODULES)) {
    if (customElements.get(name)) continue;
    if (root.localName === name || root.querySelector(name)) import(module);
  }
}

load(document);
document.addEventListener("htmx:load", (event) => load(event.target));
