// Elements, and numbers as people read them. Texts of the data become text nodes, never markup.

/** An element. `options`: `class`, `text`, and attributes by their names; null and false leave one out. */
function element(tag, options = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") made.className = value;
    else if (name === "text") made.textContent = value;
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

const byId = (id) => document.getElementById(id);
const words = (name) => name.replaceAll("_", " ");
const NOT_KNOWN = "–";
const NANO = 1e9;

function count(value) {
  return value === null ? NOT_KNOWN : value.toLocaleString("en-US");
}

function decimals(value, digits = 3) {
  return value === null || Number.isNaN(value) ? NOT_KNOWN : value.toFixed(digits);
}

function plural(value, one, many = `${one}s`) {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** Dollars of nano-dollars; NaN is a price that nobody knows. */
function money(nano) {
  if (Number.isNaN(nano)) return "unknown cost";
  const dollars = nano / NANO;
  if (dollars === 0) return "$0";
  const cents = { minimumFractionDigits: 2, maximumFractionDigits: 2 };
  if (dollars >= 1) return `$${dollars.toLocaleString("en-US", cents)}`;
  return `$${dollars.toFixed(6).replace(/0+$/, "")}`;
}

function shortId(id, length = 10) {
  return id.length > length + 2 ? `${id.slice(0, length)}…` : id;
}

/** The beginning of an id, whole in its tooltip, and a button that copies it. */
function idElement(id, length = 10) {
  if (!id) return element("span", { class: "soft", text: NOT_KNOWN });
  return element(
    "span",
    { class: "id" },
    element("code", { text: shortId(id, length), title: id }),
    element("button", { type: "button", class: "copy", "data-copy": id, "aria-label": `Copy ${id}`, title: "Copy" }),
  );
}

/** A list of terms: [name, content] pairs; those without content are left out. */
function terms(pairs) {
  const list = element("dl", { class: "terms" });
  for (const [name, content] of pairs) {
    if (content === null || content === undefined || content === "") continue;
    const direction = typeof content === "string" ? "auto" : null;
    list.append(element("dt", { text: name }), element("dd", { dir: direction }, content));
  }
  return list;
}

/** A table that scrolls by itself where it is wider than the screen. */
function tableElement(label, heads, rows, numeric = []) {
  const head = heads.map((text) => element("th", { scope: "col", text, class: numeric.includes(text) ? "n" : null }));
  return element(
    "div",
    { class: "wide", tabindex: "0", role: "region", "aria-label": label },
    element("table", {}, element("thead", {}, element("tr", {}, head)), element("tbody", {}, rows)),
  );
}

/** A text of the data. */
function paragraph(kind, text) {
  return element("p", { class: kind, dir: "auto", text });
}

const remark = (text) => element("p", { class: "soft", text });

function badge(text, kind = "") {
  return element("span", { class: `badge ${kind}`, text });
}
