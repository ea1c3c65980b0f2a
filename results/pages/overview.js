"use strict";
// Models x benchmarks: each ranking's headline, measured models first. A published row is there where it has one of the columns.
function overview(rows) {
  const boards = data.boards.map((board, index) => ({ ...board, index })).filter((board) => rows.some((row) => row.board === board.index));
  const measured = boards.filter((board) => board.measured);
  const chosen = measured.length ? measured : boards;
  if (!chosen.length) return [];
  const models = new Map();
  for (const row of rows) {
    const board = chosen.find((candidate) => candidate.index === row.board);
    if (!board || row.scores[board.headline] === undefined) continue;
    const model = models.get(row.key) ?? { ...row, name: row.model ?? row.name, cells: {} };
    model.cells[row.board] ??= row;  // rows come best first
    models.set(row.key, model);
  }
  // two protocols on the same data have the same title
  const twins = (board) => chosen.filter((other) => other.headline === board.headline && other.title === board.title).length > 1;
  const label = (board) => `${board.headline}: ${board.title}${twins(board) ? ", " + board.protocol : ""}`;
  // of models of one name, the beginning of the fingerprint, which follows the name in the key
  const alike = (model) => [...models.values()].filter((other) => other.origin === model.origin && other.name === model.name).length > 1;
  const name = (model) => model.origin === "measured" && alike(model)
    ? `${model.name} (encoder ${model.key.slice(model.name.length + 1, model.name.length + 9)})` : model.name;
  const score = (board) => (model) => model.cells[board.index]?.scores[board.headline];
  const columns = [
    { key: "name", label: "Model", text: name, value: name, fixed: true },
    ...chosen.map((board) => ({
      key: "board " + board.index, label: label(board), title: board.protocol, number: true, descends: true, fixed: true,
      value: score(board), text: (model) => model.cells[board.index] ? scoreText(model.cells[board.index], board.headline) : "",
      hint: (model) => [model.cells[board.index]?.rankNote, model.cells[board.index] && model.origin === "measured" ? intervalWords(model.cells[board.index]) : ""].filter(Boolean).join("; ") || null,
      cell: (model) => {
        const row = model.cells[board.index];
        const text = row ? scoreText(row, board.headline) : "";
        return row?.rank === undefined ? text : element("span", {}, text, " ", element("small", {}, "#" + rankText(row)));
      } })),
    { key: "method", label: "Method", text: (model) => model.method, value: (model) => model.method },
    { key: "backbone", label: "Backbone", text: backboneOf, value: backboneOf },
    { key: "parameters", label: "Parameters (M)", text: million, value: (model) => model.parameters, number: true, descends: true }];
  const count = (model) => Object.keys(model.cells).length;
  const first = score(chosen[0]);
  const list = [...models.values()].sort((a, b) => (a.origin > b.origin) - (a.origin < b.origin) || count(b) - count(a)
    || (first(b) ?? 0) - (first(a) ?? 0));
  return [element("h2", {}, "Overview"),
    element("p", { class: "quiet" }, "Headline of each benchmark, in percent; # is the rank, = where it is shared. Different benchmarks and protocols do not compare."),
    sortedTable("overview", columns, list, null, "Overview of models and benchmarks"), saveCsvButton(columns, list, "overview")];
}
