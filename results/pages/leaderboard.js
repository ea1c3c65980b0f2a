"use strict";
// Everything shown is set as text, never as markup: names in records come from other people's files.
const data = JSON.parse(document.getElementById("data").textContent);
const app = document.getElementById("app");
const MARKS = { quoted: "†" };
const state = { board: "", architecture: "", patch: "", origin: "", text: "", sort: {} };

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
  const select = element("select", { id: "filter-" + key, onchange: (event) => { state[key] = event.target.value; showBoards(); } },
    element("option", { value: "" }, "all"),
    ...options.map(([value, text]) => element("option", { value }, text)));
  return element("label", {}, label, select);
}

function distinct(key) {
  return [...new Set(data.rows.map((row) => row[key]))].filter(Boolean)
    .sort((a, b) => a.localeCompare(b, "en", { numeric: true })).map((value) => [value, value]);
}

function boardTitle(board) { return `${board.protocol}, ${board.data}`; }

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

function sortValue(row, key) {
  if (key === "rank") return row.rank ?? Infinity;
  if (key in row.scores) return row.scores[key];
  return ["name", "method", "architecture", "patch", "origin"].includes(key) ? row[key] : undefined;
}

function sorted(rows, { key, down }) {
  return [...rows].sort((a, b) => {
    const [x, y] = [sortValue(a, key), sortValue(b, key)];
    if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);  // rows without a score come last
    const order = typeof x === "string" ? x.localeCompare(y, "en", { numeric: true }) : x === y ? 0 : x < y ? -1 : 1;
    return down ? -order : order;
  });
}

function intervalBar(row, headline, range) {
  const value = row.scores[headline];
  if (value === undefined) return "";
  const at = (score) => 4 + 136 * (score - range[0]) / Math.max(range[1] - range[0], 1e-9);
  const words = row.low == null ? `${value.toFixed(1)}, no interval` : `${row.low.toFixed(1)} to ${row.high.toFixed(1)}`;
  const svg = drawing("svg", { class: "interval", viewBox: "0 0 144 20", role: "img", "aria-label": words });
  svg.append(drawing("title", {}, words));
  if (row.low != null) svg.append(drawing("rect", { x: at(row.low), y: 6, width: Math.max(at(row.high) - at(row.low), 1), height: 8, rx: 2 }));
  const x = at(value);
  svg.append(row.origin === "measured" ? drawing("circle", { cx: x, cy: 10, r: 3.5 })
    : drawing("path", { d: `M${x} 5 L${x + 5} 10 L${x} 15 L${x - 5} 10 Z` }));
  return svg;
}

function boardTable(board, index, rows) {
  const metrics = metricsOf(board, rows);
  const sort = state.sort[index] ?? { key: board.headline, down: true };
  const columns = [["rank", "Rank"], ["name", "Model"], ["origin", "Origin"], ["method", "Method"], ["architecture", "Architecture"], ["patch", "Patch"],
    [board.headline, board.headline], [null, "95 % interval"], [null, "Against published"], [null, "Record or source"],
    ...metrics.slice(1).map((name) => [name, name]), [null, "Seeds"]];
  const head = columns.map(([key, label]) => {
    if (key === null) return element("th", { scope: "col" }, label);
    const direction = sort.key === key ? (sort.down ? "descending" : "ascending") : "none";
    const press = () => {
      state.sort[index] = { key, down: sort.key === key ? !sort.down : metrics.includes(key) };
      showBoards();
      document.querySelector(`[data-sort="${CSS.escape(index + " " + key)}"]`).focus();
    };
    return element("th", { scope: "col", "aria-sort": direction }, element("button", { type: "button", "data-sort": index + " " + key, onclick: press }, label));
  });
  const ends = rows.flatMap((row) => [row.low, row.high, row.scores[board.headline]]).filter((value) => value != null);
  const range = [Math.min(...ends), Math.max(...ends)];
  const cell = (label, text, kind = null) => element("td", { "data-label": label, class: kind }, text);
  const score = (row, name) => {
    if (row.scores[name] === undefined) return cell(name, "");
    const status = row.status ? row.status[name] : "";
    const digits = row.origin === "published" && Number(row.scores[name].toFixed(1)) !== row.scores[name] ? 2 : 1;
    return cell(name, row.scores[name].toFixed(digits) + (MARKS[status] ?? ""), `number ${status}`);
  };
  const lines = sorted(rows, sort).map((row) => element("tr", { class: row.origin },
    cell("Rank", row.rank === undefined ? "" : String(row.rank), "number"),
    element("th", { scope: "row", "data-label": "Model" }, row.name),
    element("td", { "data-label": "Origin" }, element("span", { class: "badge " + row.origin }, row.origin)),
    cell("Method", row.origin === "measured" ? row.method : ""), cell("Architecture", row.architecture), cell("Patch", row.patch, "number"),
    score(row, metrics[0]),
    element("td", { "data-label": "95 % interval" }, intervalBar(row, board.headline, range)),
    element("td", { "data-label": "Against published", class: "verdict " + (row.verdict ?? "").split(" ")[0], title: row.why || null }, row.verdict ?? ""),
    element("td", { "data-label": row.origin === "measured" ? "Details" : "Source" }, row.origin === "measured"
      ? element("span", {}, ...row.records.flatMap((i) => [element("a", { href: "#record-" + i, onclick: () => openRecord(i) }, "seed " + data.records[i].seed), " "]))
      : element("details", { class: "source" }, element("summary", {}, "source"), row.sources.join("; "))),
    ...metrics.slice(1).map((name) => score(row, name)),
    cell("Seeds", row.seeds ? String(row.seeds) : "", "number")));
  return element("section", { class: "board" }, element("h2", {}, boardTitle(board)),
    board.official ? "" : element("p", { class: "quiet" }, "Not comparable with published figures."),
    element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": boardTitle(board) },
      element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...lines))));
}

function showBoards() {
  const sections = data.boards.map((board, index) => {
    const rows = data.rows.filter((row) => row.board === index && visible(row));
    return rows.length ? boardTable(board, index, rows) : null;
  }).filter(Boolean);
  const count = data.rows.filter(visible).length;
  document.getElementById("count").textContent = `${count} of ${data.rows.length} rows`;
  document.getElementById("boards").replaceChildren(...(sections.length ? sections : [element("p", {}, "No row fits these filters.")]));
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

app.append(
  element("div", { class: "controls", role: "search", "aria-label": "Filters" },
    picker("Benchmark, protocol, data", "board", data.boards.map((board, index) => [String(index), boardTitle(board)])),
    picker("Architecture", "architecture", distinct("architecture")), picker("Patch", "patch", distinct("patch")),
    picker("Origin", "origin", [["measured", "measured"], ["published", "published"]]),
    element("label", {}, "Model or method", element("input", { type: "search", id: "filter-text", oninput: (event) => { state.text = event.target.value; showBoards(); } }))),
  element("p", { class: "quiet", id: "count", "aria-live": "polite" }), element("div", { id: "boards" }),
  element("section", { id: "scatter" }),
  element("section", { id: "records" }, element("h2", {}, "Records"), ...data.records.map(recordDetails)));
showBoards();
if (/^#record-\d+$/.test(location.hash) && document.querySelector(location.hash)) openRecord(location.hash.slice(8));
