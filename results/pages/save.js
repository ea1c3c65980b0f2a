"use strict";
// Downloads are made in the page: nothing is sent anywhere.
function save(name, kind, content) {
  const url = URL.createObjectURL(new Blob([content], { type: kind }));
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

function csvOf(columns, rows) {
  // Text that a spreadsheet would compute gets an apostrophe, as in the CSV file beside this page.
  const cell = (column, row) => {
    const value = column.number && column.value ? column.value(row) : column.text(row);
    if (typeof value === "number" || value === undefined) return String(value ?? "");
    const safe = /^\s*[=+\-@＝＋－＠]/.test(value) ? "'" + value : value;
    return /[",\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  const told = columns.filter((column) => column.text);
  const names = told.map((column) => cell({ text: () => column.label }));
  return [names, ...rows.map((row) => told.map((column) => cell(column, row)))].map((line) => line.join(",") + "\n").join("");
}

function saveCsvButton(columns, rows, name) {
  const file = name.replace(/[^\w.@-]+/g, "-") + ".csv";
  return element("button", { type: "button", class: "save", onclick: () => save(file, "text/csv", csvOf(columns, rows)) }, "CSV of these rows");
}

function standalone(svg) {
  const copy = svg.cloneNode(true);
  const sources = [svg, ...svg.querySelectorAll("*")], targets = [copy, ...copy.querySelectorAll("*")];
  sources.forEach((node, index) => {
    const style = getComputedStyle(node);
    for (const name of ["fill", "stroke", "stroke-width", "font-size", "font-family"]) targets[index].style.setProperty(name, style.getPropertyValue(name));
  });
  const [, , width, height] = svg.getAttribute("viewBox").split(" ").map(Number);
  for (const [name, value] of [["width", width], ["height", height], ["xmlns", "http://www.w3.org/2000/svg"]]) copy.setAttribute(name, value);
  copy.prepend(drawing("rect", { width, height, fill: getComputedStyle(document.body).backgroundColor }));
  return { width, height, text: new XMLSerializer().serializeToString(copy) };
}

async function pngOf(svg) {
  const { width, height, text } = standalone(svg);
  const image = new Image();
  image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(text);
  await image.decode();
  const canvas = element("canvas", { width: 2 * width, height: 2 * height });
  canvas.getContext("2d").drawImage(image, 0, 0, 2 * width, 2 * height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

function savePictureButtons(find, name) {
  const button = (label, act) => element("button", { type: "button", class: "save", onclick: act }, label);
  return [button("SVG", () => find() && save(name + ".svg", "image/svg+xml", standalone(find()).text)),
    button("PNG", async () => find() && save(name + ".png", "image/png", await pngOf(find())))];
}
