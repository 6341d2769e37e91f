// What <fw-line-chart> puts around and on its canvas.
const SVG = "http://www.w3.org/2000/svg";
const CLIP_FILL_AND_STROKE = 3; // uPlot's BAND_CLIP_FILL | BAND_CLIP_STROKE

function svg(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

// One entry of the legend: the line as drawn, the name, the value at the cursor.
export function legendItem(series, dash) {
  const element = document.createElement("li");
  element.className = `chart-ink-${series.role}`;
  const key = svg("svg", { class: "chart-key", viewBox: "0 0 28 10", "aria-hidden": "true" });
  key.append(svg("path", { d: "M0 5h28", "stroke-dasharray": dash.join(" ") }));
  key.append(
    series.role === "validation"
      ? svg("rect", { x: 11, y: 2, width: 6, height: 6 })
      : svg("circle", { cx: 14, cy: 5, r: 3.2 }),
  );
  const name = document.createElement("span");
  name.textContent = series.label;
  const value = document.createElement("b");
  value.textContent = "–";
  element.append(key, name, value);
  return { element, value };
}

// Square markers, so that validation is told apart without colour.
export function squarePoints(chart, index, from, to) {
  const fill = new Path2D();
  const side = chart.series[index].points.size * devicePixelRatio;
  for (let at = from; at <= to; at++) {
    const value = chart.data[index][at];
    if (value === null) continue;
    const x = chart.valToPos(chart.data[0][at], "x", true);
    const y = chart.valToPos(value, "y", true);
    fill.rect(x - side / 2, y - side / 2, side, side);
  }
  return { stroke: fill, fill, flags: CLIP_FILL_AND_STROKE };
}

export function numbersTable(heads, columns, format) {
  const frame = document.createElement("div");
  frame.className = "table-scroll";
  frame.tabIndex = 0;
  const table = document.createElement("table");
  table.className = "table";
  const top = table.createTHead().insertRow();
  for (const text of heads) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.className = "number";
    cell.textContent = text;
    top.append(cell);
  }
  const body = table.createTBody();
  for (const index of columns[0].keys()) {
    const row = body.insertRow();
    for (const column of columns) {
      const cell = row.insertCell();
      cell.className = "number";
      cell.textContent = format(column[index]);
    }
  }
  frame.append(table);
  return frame;
}

function quoted(text) {
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export function csvLink(heads, read, fileName) {
  const link = document.createElement("a");
  link.href = "#";
  link.textContent = "Download as CSV";
  link.addEventListener("click", () => {
    const columns = read();
    const lines = [...columns[0].keys()].map((at) => columns.map((one) => one[at] ?? "").join(","));
    const csv = [heads.map(quoted).join(","), ...lines, ""].join("\n");
    const url = URL.createObjectURL(new Blob([csv], { type: "text/csv" }));
    link.href = url;
    link.download = fileName;
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  });
  return link;
}
