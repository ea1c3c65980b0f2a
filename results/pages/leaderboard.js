"use strict";
// Everything shown is set as text, never as markup: names in records come from other people's files.
const data = JSON.parse(document.getElementById("data").textContent);
const app = document.getElementById("app");
const MARKS = { quoted: "†" };
const state = { board: "", architecture: "", patch: "", origin: "", text: "", sort: {}, hidden: new Set(["numbers", "origin", "seeds"]) };

const held = new Map();
for (const row of data.rows) held.set(row.board + " " + row.rank, (held.get(row.board + " " + row.rank) ?? 0) + 1);

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

function drawing(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function picker(label, key, options) {
  const select = element("select", { id: "filter-" + key, onchange: (event) => { state[key] = event.target.value; show(); } },
    element("option", { value: "" }, "all"),
    ...options.map(([value, text]) => element("option", { value }, text)));
  return element("label", {}, label, select);
}

function distinct(key) {
  return [...new Set(data.rows.map((row) => row[key]))].filter(Boolean)
    .sort((a, b) => a.localeCompare(b, "en", { numeric: true })).map((value) => [value, value]);
}

const nameOf = (board) => `${board.title} · ${board.protocol}`;
const backboneOf = (row) => [row.architecture, row.patch].filter(Boolean).join("/");

function visible(row) {
  return (!state.board || String(row.board) === state.board) && (!state.architecture || row.architecture === state.architecture)
    && (!state.patch || row.patch === state.patch) && (!state.origin || row.origin === state.origin)
    && `${row.name} ${row.method}`.toLowerCase().includes(state.text.toLowerCase());
}

function metricsOf(board, rows) {
  const known = new Set(rows.flatMap((row) => Object.keys(row.scores)));
  const listed = data.metrics.filter((name) => known.has(name) && name !== board.headline);
  const published = rows.filter((row) => row.origin === "published").flatMap((row) => Object.keys(row.scores));
  const further = [...new Set(published)].filter((name) => name !== board.headline && !listed.includes(name));
  return [board.headline, ...listed, ...further];
}

function scoreText(row, name) {
  const value = row.scores[name];
  if (value === undefined) return "";
  const digits = row.origin === "published" && Number(value.toFixed(1)) !== value ? 2 : 1;
  const spread = row.spreads?.[name] === undefined ? "" : ` ± ${row.spreads[name].toFixed(1)}`;
  return value.toFixed(digits) + spread + (MARKS[row.status?.[name]] ?? "");
}

const rankText = (row) => row.rank === undefined ? "" : row.rank + (held.get(row.board + " " + row.rank) > 1 ? " =" : "");
const intervalText = (row) => row.low == null ? "" : `${row.low.toFixed(1)} to ${row.high.toFixed(1)}`;
const intervalWords = (row) => row.low == null ? "no interval" : `95 % interval ${intervalText(row)}, ${row.covers}`;
const million = (row) => row.parameters ? (row.parameters / 1e6).toFixed(1) : "";

function intervalBar(row, headline, range) {
  const value = row.scores[headline];
  if (value === undefined) return "";
  const at = (score) => 4 + 136 * (score - range[0]) / Math.max(range[1] - range[0], 1e-9);
  const words = `${value.toFixed(1)}, ${intervalWords(row)}`;
  const svg = drawing("svg", { class: "interval", viewBox: "0 0 144 20", role: "img", "aria-label": words });
  svg.append(drawing("title", {}, words));
  if (row.low != null) svg.append(drawing("rect", { x: at(row.low), y: 6, width: Math.max(at(row.high) - at(row.low), 1), height: 8, rx: 2 }));
  const x = at(value);
  svg.append(row.origin === "measured" ? drawing("circle", { cx: x, cy: 10, r: 3.5 })
    : drawing("path", { d: `M${x} 5 L${x + 5} 10 L${x} 15 L${x - 5} 10 Z` }));
  return svg;
}

function detailsOf(row) {
  if (row.origin === "published") return element("details", { class: "source" }, element("summary", {}, "source"), row.sources.join("; "));
  return element("span", {}, ...row.records.flatMap((i) => [
    element("a", { href: "#record-" + i, onclick: () => openRecord(i) }, "seed " + data.records[i].seed), " "]));
}

// Columns: key (of state.hidden and sorting), heading, value to sort by (absent: not sortable), text for CSV, cell if not plain text.
function columnsOf(board, rows) {
  const ends = rows.flatMap((row) => [row.low, row.high, row.scores[board.headline]]).filter((value) => value != null);
  const range = [Math.min(...ends), Math.max(...ends)];
  const plain = (key, label, text, more = {}) => ({ key, label, text, value: text, ...more });
  const metrics = metricsOf(board, rows).map((name) => ({
    key: name, label: name, text: (row) => scoreText(row, name), value: (row) => row.scores[name], number: true, descends: true,
    kind: (row) => row.status?.[name], hint: (row) => name === board.headline && row.origin === "measured" ? intervalWords(row) : null }));
  return [
    { key: "rank", label: "Rank", text: rankText, value: (row) => row.rank, number: true, fixed: true, hint: (row) => row.rankNote || null },
    { ...plain("name", "Model", (row) => row.name), fixed: true },
    plain("method", "Method", (row) => row.method),
    plain("backbone", "Backbone", backboneOf),
    ...(new Set(rows.map((row) => row.pretrained).filter(Boolean)).size > 1 ? [plain("pretrained", "Pretrained on", (row) => row.pretrained ?? "")] : []),
    { ...plain("parameters", "Parameters (M)", million), value: (row) => row.parameters, number: true, descends: true },
    { ...metrics[0], fixed: true },
    { key: "interval", label: "95 % interval", text: null, cell: (row) => intervalBar(row, board.headline, range) },
    { key: "numbers", label: "Interval in numbers", text: intervalText, number: true },
    { key: "verdict", label: "Against published", text: (row) => row.verdict ?? "", hint: (row) => row.why || null,
      kind: (row) => "verdict " + (row.verdict ?? "").split(" ")[0] },
    { key: "details", label: "Record or source", text: (row) => row.origin === "published" ? row.sources.join("; ") : row.key, cell: detailsOf },
    ...metrics.slice(1),
    { ...plain("origin", "Origin", (row) => row.origin), cell: (row) => element("span", { class: "badge " + row.origin }, row.origin) },
    { key: "seeds", label: "Seeds", text: (row) => String(row.seeds ?? ""), value: (row) => row.seeds, number: true }];
}

function sorted(rows, column, down) {
  return [...rows].sort((a, b) => {
    const [x, y] = [column.value(a), column.value(b)];
    if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);  // rows without a score come last
    const order = typeof x === "string" ? x.localeCompare(y, "en", { numeric: true }) : x === y ? 0 : x < y ? -1 : 1;
    return down ? -order : order;
  });
}

// A table with headings that sort; `id` tells it from the others, `start` is the key that it is sorted by at first.
function sortedTable(id, all, rows, start, label) {
  const columns = all.filter((column) => column.fixed || !state.hidden.has(column.key));
  const sort = state.sort[id] ?? { key: start, down: true };
  const by = columns.find((column) => column.key === sort.key) ?? columns.find((column) => column.key === start);  // undefined: as it comes
  const head = columns.map((column) => {
    const kind = column.number ? "number" : null;
    if (!column.value) return element("th", { scope: "col", class: kind }, column.label);
    const direction = by === column ? (sort.down ? "descending" : "ascending") : "none";
    const press = () => {
      state.sort[id] = { key: column.key, down: by === column ? !sort.down : Boolean(column.descends) };
      show();
      document.querySelector(`[data-sort="${CSS.escape(id + " " + column.key)}"]`).focus();
    };
    return element("th", { scope: "col", "aria-sort": direction, title: column.title, class: kind },
      element("button", { type: "button", "data-sort": id + " " + column.key, onclick: press }, column.label));
  });
  const lines = (by ? sorted(rows, by, sort.down) : rows).map((row) => element("tr", { class: row.origin }, ...columns.map((column) => {
    const kind = [column.number ? "number" : "", column.kind?.(row) ?? ""].join(" ").trim();
    const attributes = { "data-label": column.label, class: kind || null, title: column.hint?.(row) };
    if (column.key === "name") Object.assign(attributes, { scope: "row" });
    return element(column.key === "name" ? "th" : "td", attributes, column.cell ? column.cell(row) : column.text(row));
  })));
  return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label },
    element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...lines)));
}

function boardSection(board, index, rows) {
  const columns = columnsOf(board, rows);
  const covers = [...new Set(rows.map((row) => row.covers).filter(Boolean))].map((words) => "intervals " + words);
  const notes = [board.official ? "" : "not comparable with published figures", ...covers].filter(Boolean).join("; ");
  const open = state.opened?.[index] ?? (board.measured || !data.boards.some((other) => other.measured));
  const section = element("details", { class: "board cards", id: "board-" + index, open: open ? "" : null },
    element("summary", {}, element("h2", {}, board.title, " ", element("small", {}, board.protocol))),
    element("p", { class: "quiet" }, notes), sortedTable("board " + index, columns, rows, board.headline, nameOf(board)),
    saveCsvButton(columns, rows, board.protocol));
  section.addEventListener("toggle", () => { (state.opened ??= {})[index] = section.open; });
  return section;
}

function show() {
  const rows = data.rows.filter(visible);
  document.getElementById("count").textContent = `${rows.length} of ${data.rows.length} rows`;
  const sections = data.boards.map((board, index) => {
    const members = rows.filter((row) => row.board === index);
    return members.length ? boardSection(board, index, members) : null;
  }).filter(Boolean);
  document.getElementById("boards").replaceChildren(...(sections.length ? sections : [element("p", {}, "No row fits these filters.")]));
  document.getElementById("overview").replaceChildren(...overview(rows));
}

function openRecord(index) { document.getElementById("record-" + index).open = true; }

function definitions(value, prefix = "") {
  if (value === null || value === "") return [];
  if (typeof value !== "object") return [element("dt", {}, prefix), element("dd", {}, String(value))];
  return Object.entries(value).flatMap(([key, item]) => definitions(item, prefix ? `${prefix} › ${key}` : key));
}

function recordDetails(record, index) {
  const title = `${record.model.name}: ${record.protocol}, ${record.dataset.name}, seed ${record.seed}`;
  const details = element("details", { class: "record", id: "record-" + index }, element("summary", {}, title));
  const fill = () => { if (details.open && details.children.length === 1) details.append(element("dl", {}, ...definitions(record))); };
  details.addEventListener("toggle", fill);  // filled when first opened: a page may hold a thousand records
  return details;
}

function columnPicker() {
  const optional = new Map();
  data.boards.forEach((board, index) => {
    for (const column of columnsOf(board, data.rows.filter((row) => row.board === index))) if (!column.fixed) optional.set(column.key, column.label);
  });
  const box = ([key, label]) => {
    const input = element("input", { type: "checkbox", id: "column-" + key, onchange: (event) => {
      state.hidden[event.target.checked ? "delete" : "add"](key);
      show();
    } });
    input.checked = !state.hidden.has(key);
    return element("label", { class: "choice" }, input, label);
  };
  return element("details", { id: "columns" }, element("summary", {}, "Columns"), ...[...optional].map(box));
}

function start() {
  app.append(
    element("div", { class: "controls", role: "search", "aria-label": "Filters" },
      picker("Benchmark, data, protocol", "board", data.boards.map((board, index) => [String(index), nameOf(board)])),
      picker("Architecture", "architecture", distinct("architecture")), picker("Patch", "patch", distinct("patch")),
      picker("Origin", "origin", [["measured", "measured"], ["published", "published"]]),
      element("label", {}, "Model or method", element("input", { type: "search", id: "filter-text", oninput: (event) => { state.text = event.target.value; show(); } })),
      columnPicker()),
    element("p", { class: "quiet", id: "count", "aria-live": "polite" }), element("section", { id: "overview" }),
    element("div", { id: "boards" }), element("section", { id: "scatter" }),
    element("section", { id: "records" }, element("h2", {}, "Records"), ...data.records.map(recordDetails)));
  show();
  startScatter();
  if (/^#record-\d+$/.test(location.hash) && document.querySelector(location.hash)) openRecord(location.hash.slice(8));
}
