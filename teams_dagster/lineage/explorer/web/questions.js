// The queries behind a step, and what they took.

/** One line that sums them up, and the table of them on demand, with `more` below. */
function questionsElement(rows, more = []) {
  if (rows.length === 0 && more.length === 0) return null;
  return element(
    "details",
    { class: "questions" },
    element("summary", {}, element("span", { text: summaryOf(rows) })),
    rows.length ? questionTable(rows) : null,
    ...more,
  );
}

function summaryOf(rows) {
  if (rows.length === 0) return "No query was answered";
  const { prompt_tokens, completion_tokens, reused } = tables.questions;
  const tokens = rows.reduce((sum, row) => sum + (prompt_tokens[row] ?? 0) + (completion_tokens[row] ?? 0), 0);
  const again = rows.filter((row) => reused[row] === 1).length;
  const parts = [plural(rows.length, "query", "queries"), money(costOfQuestions(rows))];
  if (tokens) parts.splice(1, 0, plural(tokens, "token"));
  if (again) parts.push(`${again} reused`);
  return parts.join(" · ");
}

function questionTable(rows) {
  const heads = ["query", "role", "model", "tokens in", "out", "cost", "paid", "attempt"];
  return tableElement("Queries", heads, rows.map(questionRow), ["tokens in", "out", "cost"]);
}

function questionRow(row) {
  const table = tables.questions;
  const cached = table.cached_tokens[row] ? ` (${count(table.cached_tokens[row])} cached)` : "";
  const paid = { 0: "here", 1: "reused", null: NOT_KNOWN }[table.reused[row]];
  const cell = (content, kind = null) => element("td", { class: kind, dir: "auto" }, content);
  return element(
    "tr",
    {},
    element("th", { scope: "row", text: nameOf(table.kind[row]) }),
    cell(nameOf(table.role[row]) ?? NOT_KNOWN),
    cell([nameOf(table.provider[row]), nameOf(table.model[row])].filter(Boolean).join(" ") || NOT_KNOWN),
    cell(`${count(table.prompt_tokens[row])}${cached}`, "n"),
    cell(count(table.completion_tokens[row]), "n"),
    cell(money(table.cost_nano_usd[row] ?? NaN).replace("unknown cost", "unknown"), "n"),
    cell(paid),
    cell(idElement(table.request_id[row])),
  );
}
