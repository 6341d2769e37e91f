// <fw-line-chart>: curves of named series over one x axis, drawn by uPlot.
// docs/design.md lists the attributes. `upsert` is keyed by x, so a point that arrives
// twice is drawn once. Ink comes from CSS, so both themes are right.
import uPlot from "../vendor/uPlot-1.6.32.esm.js";

import { csvLink, legendItem, numbersTable, squarePoints } from "./line-chart-parts.js";

const MANY_POINTS = 80; // markers would only make a smear
const DASHES = { training: [], validation: [7, 4], third: [2, 3], fourth: [10, 3, 2, 3] };
const ROLES = ["training", "validation", "third", "fourth"];
const X_STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000];

function roleOf(series, index) {
  if (DASHES[series.role]) return series.role;
  return series.role === "neutral" ? "third" : ROLES[index % ROLES.length];
}

function format(value) {
  if (value === null || value === undefined) return "–";
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(4)));
}

class LineChart extends HTMLElement {
  connectedCallback() {
    if (this.series) return; // moved in the document, not new
    const own = this.querySelector('script[type="application/json"]');
    const given = own ? JSON.parse(own.textContent) : {};
    this.series = given.series ?? JSON.parse(this.dataset.series ?? "[]");
    this.series.forEach((one, index) => (one.role = roleOf(one, index)));
    this.rows = new Map();
    this.bestX = this.dataset.bestX === undefined ? null : Number(this.dataset.bestX);
    this.build();
    this.setPoints(given.points ?? []);
    this.resizes = new ResizeObserver(() => this.fit());
    this.resizes.observe(this.plot);
    this.repaint = () => this.chart?.redraw(false);
    document.addEventListener("finwave:theme", this.repaint);
    this.dark = matchMedia("(prefers-color-scheme: dark)");
    this.dark.addEventListener("change", this.repaint);
  }

  disconnectedCallback() {
    // Wait: a move disconnects and connects in one go.
    queueMicrotask(() => {
      if (this.isConnected || !this.series) return;
      this.resizes.disconnect();
      document.removeEventListener("finwave:theme", this.repaint);
      this.dark.removeEventListener("change", this.repaint);
      this.chart?.destroy();
      this.chart = null;
    });
  }

  // Set one value; the same x and series again replaces it.
  upsert(key, x, y) {
    const row = this.rows.get(x) ?? {};
    row[key] = y;
    this.rows.set(x, row);
    this.schedule();
  }

  // Set many rows at once: [{x, <series key>: value, …}].
  setPoints(points) {
    for (const { x, ...values } of points) {
      this.rows.set(x, { ...this.rows.get(x), ...values });
    }
    this.schedule();
  }

  // Mark the x of the best state with a line.
  markBest(x) {
    this.bestX = x;
    this.schedule();
  }

  build() {
    const name = this.dataset.title ?? this.dataset.yLabel ?? "Chart";
    const head = document.createElement("div");
    head.className = "chart-head";
    if (this.dataset.title) {
      const title = document.createElement("span");
      title.className = "chart-title";
      title.textContent = this.dataset.title;
      head.append(title);
    }
    this.legend = document.createElement("ul");
    this.legend.className = "chart-legend";
    this.items = this.series.map((one) => legendItem(one, DASHES[one.role]));
    this.at = document.createElement("li");
    this.at.className = "chart-at";
    this.legend.append(this.at, ...this.items.map((item) => item.element));
    head.append(this.legend);

    this.plot = document.createElement("div");
    this.plot.className = "chart-plot chart-ink-axis";
    this.plot.setAttribute("role", "img");
    const labels = this.series.map((one) => one.label).join(", ");
    this.plot.setAttribute("aria-label", `${name}: ${labels}. The numbers are in the table below.`);
    this.grid = document.createElement("span");
    this.grid.className = "chart-ink-grid";
    this.mark = document.createElement("span");
    this.mark.className = "chart-ink-mark";
    this.hint = document.createElement("p");
    this.hint.className = "chart-empty";
    this.hint.textContent = this.dataset.empty ?? "The first point appears after the first epoch.";
    this.plot.append(this.grid, this.mark, this.hint);

    this.numbers = document.createElement("details");
    this.numbers.className = "chart-numbers";
    const summary = document.createElement("summary");
    summary.textContent = "Numbers";
    this.numbers.append(summary);
    this.numbers.addEventListener("toggle", () => this.fillNumbers());
    this.append(head, this.plot, this.numbers);
  }

  schedule() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      if (this.isConnected) this.draw();
    });
  }

  table() {
    const xs = [...this.rows.keys()].sort((a, b) => a - b);
    return [xs, ...this.series.map(({ key }) => xs.map((x) => this.rows.get(x)[key] ?? null))];
  }

  draw() {
    const data = this.table();
    this.hint.hidden = data[0].length > 0;
    if (!data[0].length) return;
    if (this.chart) this.chart.setData(data);
    else this.chart = new uPlot(this.options(), data, this.plot);
    this.showValues();
    if (this.numbers.open) this.fillNumbers();
  }

  options() {
    const ink = (element) => () => getComputedStyle(element).color;
    const { yMin, yMax } = this.dataset;
    const fixed = yMin !== undefined && yMax !== undefined;
    const axis = (label) => ({
      label,
      labelSize: 20,
      labelGap: 2,
      font: "12px Inter, sans-serif",
      labelFont: "12px Inter, sans-serif",
      stroke: ink(this.plot),
      grid: { stroke: ink(this.grid), width: 1 },
      ticks: { stroke: ink(this.grid), width: 1, size: 4 },
    });
    return {
      width: this.plot.clientWidth || 300,
      height: this.plot.clientHeight || 240,
      legend: { show: false },
      padding: [8, 12, 0, 0],
      scales: {
        x: { time: false, range: (_, min, max) => (min === max ? [min - 1, max + 1] : [min, max]) },
        y: fixed ? { range: [Number(yMin), Number(yMax)] } : {},
      },
      cursor: {
        y: false,
        drag: { x: false, y: false },
        points: { size: 9 },
        ...(this.dataset.sync && { sync: { key: this.dataset.sync } }),
      },
      series: [{}, ...this.series.map((one, index) => this.line(one, index, ink))],
      axes: [
        { ...axis(this.dataset.xLabel ?? "Epoch"), incrs: X_STEPS, size: 28 },
        { ...axis(this.dataset.yLabel ?? ""), size: 44 },
      ],
      hooks: { setCursor: [() => this.showValues()], draw: [(chart) => this.drawBest(chart)] },
    };
  }

  line(one, index, ink) {
    const stroke = ink(this.items[index].element);
    return {
      label: one.label,
      stroke,
      width: 2,
      dash: DASHES[one.role],
      spanGaps: true,
      points: {
        size: 6,
        fill: stroke,
        show: () => this.rows.size <= MANY_POINTS,
        ...(one.role === "validation" && { paths: squarePoints }),
      },
    };
  }

  showValues() {
    const [xs, ...ys] = this.chart?.data ?? [[]];
    const index = this.chart?.cursor.idx ?? xs.length - 1;
    this.at.textContent = xs.length ? `${this.dataset.xLabel ?? "Epoch"} ${format(xs[index])}` : "";
    this.items.forEach((item, at) => (item.value.textContent = format(ys[at]?.[index])));
  }

  drawBest(chart) {
    if (this.bestX === null || !this.rows.has(this.bestX)) return;
    const x = Math.round(chart.valToPos(this.bestX, "x", true));
    const { top, height } = chart.bbox;
    const pen = chart.ctx;
    pen.save();
    pen.strokeStyle = pen.fillStyle = getComputedStyle(this.mark).color;
    pen.lineWidth = devicePixelRatio;
    pen.setLineDash([2 * devicePixelRatio, 3 * devicePixelRatio]);
    pen.beginPath();
    pen.moveTo(x, top);
    pen.lineTo(x, top + height);
    pen.stroke();
    pen.font = `500 ${12 * devicePixelRatio}px Inter, sans-serif`;
    const onRight = x > chart.bbox.left + chart.bbox.width / 2;
    pen.textAlign = onRight ? "right" : "left";
    pen.fillText("best", x + (onRight ? -5 : 5) * devicePixelRatio, top + 12 * devicePixelRatio);
    pen.restore();
  }

  fit() {
    const { clientWidth: width, clientHeight: height } = this.plot;
    if (this.chart && width && height) this.chart.setSize({ width, height });
  }

  fillNumbers() {
    if (!this.numbers.open) return;
    const heads = [this.dataset.xLabel ?? "Epoch", ...this.series.map((one) => one.label)];
    this.numbers.replaceChildren(
      this.numbers.firstElementChild,
      numbersTable(heads, this.table(), format),
      csvLink(heads, () => this.table(), `${this.dataset.name ?? "chart"}.csv`),
    );
  }
}

if (!customElements.get("fw-line-chart")) customElements.define("fw-line-chart", LineChart);
