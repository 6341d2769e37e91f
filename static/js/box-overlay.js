// <fw-boxes>: detections drawn over the photo inside. The boxes come from a JSON script,
// in pixels of the photo; docs/design.md lists the attributes. A click, or Enter, on a box
// sends the event finwave:box with the box as detail.
const PARTS = {
  prominence: "prominence",
  area: "area",
  centrality: "centrality",
  confidence: "confidence",
};

function share(value) {
  return Number(value).toFixed(2);
}

function detail(box) {
  return Object.entries(PARTS)
    .filter(([key]) => box[key] !== undefined && box[key] !== null)
    .map(([key, label]) => `${label} ${share(box[key])}`)
    .join("\n");
}

class Boxes extends HTMLElement {
  connectedCallback() {
    if (this.layer) return;
    const script = this.querySelector('script[type="application/json"]');
    this.boxes = script ? JSON.parse(script.textContent) : [];
    this.layer = document.createElement("div");
    this.layer.className = "boxes-layer";
    this.append(this.layer);
    this.draw();
  }

  // Draw other boxes over the same photo.
  setBoxes(boxes) {
    this.boxes = boxes;
    this.draw();
  }

  // The boxes' frame: the photo's own size, else that of the picture shown.
  size() {
    const image = this.querySelector("img");
    return {
      width: Number(this.dataset.width) || image?.naturalWidth || 0,
      height: Number(this.dataset.height) || image?.naturalHeight || 0,
    };
  }

  draw() {
    const size = this.size();
    if (!size.width) {
      this.querySelector("img")?.addEventListener("load", () => this.draw(), { once: true });
      return;
    }
    // Large boxes first, so that small ones stay reachable above them.
    const area = (box) => (box.x2 - box.x1) * (box.y2 - box.y1);
    const ordered = [...this.boxes].sort((a, b) => area(b) - area(a));
    this.layer.replaceChildren(...ordered.map((box) => this.element(box, size)));
  }

  element(box, { width, height }) {
    const element = document.createElement("selectable" in this.dataset ? "button" : "div");
    if (element.localName === "button") {
      element.type = "button";
      element.setAttribute("aria-pressed", String(Boolean(box.selected)));
      element.addEventListener("click", () => this.choose(element, box));
    } else {
      element.tabIndex = 0;
      element.setAttribute("role", "img");
    }
    element.className = "boxes-box";
    if (box.kind) element.classList.add(`boxes-box-${box.kind}`);
    element.dataset.box = box.id ?? "";
    // Percentages follow the picture through every size.
    element.style.left = `${(100 * box.x1) / width}%`;
    element.style.top = `${(100 * box.y1) / height}%`;
    element.style.width = `${(100 * (box.x2 - box.x1)) / width}%`;
    element.style.height = `${(100 * (box.y2 - box.y1)) / height}%`;
    const label = document.createElement("span");
    label.className = "boxes-label";
    if (box.y1 / height < 0.25) label.classList.add("boxes-label-inside");
    if (box.x1 / width > 0.7) label.classList.add("boxes-label-end");
    const name = [box.label, box.confidence === undefined ? "" : share(box.confidence)]
      .filter(Boolean)
      .join(" ");
    const more = document.createElement("span");
    more.className = "boxes-detail";
    more.textContent = detail(box);
    label.append(name, more);
    element.setAttribute("aria-label", [name, ...more.textContent.split("\n")].join(", "));
    element.append(label);
    return element;
  }

  choose(element, box) {
    for (const one of this.layer.children) one.setAttribute("aria-pressed", "false");
    element.setAttribute("aria-pressed", "true");
    this.dispatchEvent(new CustomEvent("finwave:box", { bubbles: true, detail: box }));
  }
}

if (!customElements.get("fw-boxes")) customElements.define("fw-boxes", Boxes);
