// The tables of the page, unpacked: columns of numbers (-1 where there is nothing) and of strings.

const tables = {};
let names = [];
let texts = [];

/** Unpack every block, and say how far that is. */
async function unpack(progress) {
  const blocks = [...document.querySelectorAll("script[data-block]")];
  const parts = new Map();
  for (const [place, block] of blocks.entries()) {
    const [table, columns] = await unpacked(block.textContent);
    block.remove();
    if (!parts.has(table)) parts.set(table, []);
    parts.get(table).push(columns);
    progress((place + 1) / blocks.length);
  }
  names = column(parts.get("names"), "all");
  texts = column(parts.get("texts"), "all");
  for (const [table, columns] of parts) tables[table] = whole(columns);
}

async function unpacked(base64) {
  const characters = atob(base64);
  const bytes = new Uint8Array(characters.length);
  for (let at = 0; at < characters.length; at += 1) bytes[at] = characters.charCodeAt(at);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).json();
}

function column(parts, name) {
  return parts.length === 1 ? parts[0][name] : [].concat(...parts.map((part) => part[name]));
}

/** A table of its parts; `rows` is how many rows it has. */
function whole(parts) {
  const table = { rows: 0 };
  for (const name of Object.keys(parts[0])) {
    const values = column(parts, name);
    table.rows = values.length;
    table[name] = values.every((value) => (value | 0) === value) ? Int32Array.from(values) : values;
  }
  return table;
}

const nameOf = (number) => (number < 0 ? null : names[number]);
const textOf = (number) => (number < 0 ? null : texts[number]);

/** The rows of `table` by the number in `column`: for each number where its rows begin in `order`. */
function grouped(numbers, groups) {
  const starts = new Int32Array(groups + 1);
  for (const number of numbers) if (number >= 0) starts[number + 1] += 1;
  for (let group = 0; group < groups; group += 1) starts[group + 1] += starts[group];
  const order = new Int32Array(starts[groups]);
  const next = starts.slice();
  for (let row = 0; row < numbers.length; row += 1) if (numbers[row] >= 0) order[next[numbers[row]]++] = row;
  return (group) => order.subarray(starts[group], starts[group + 1]);
}
