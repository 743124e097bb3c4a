// The page at work: what is looked for, which sample is open, keys and links.

const WAIT_MS = 140;
const look = { query: "", chosen: {}, sort: "made" };
let list = null;
let hits = null;
let opened = -1;
let turn = 0;

const narrow = () => matchMedia("(max-width: 760px)").matches;
const at = (sample) => tables.samples.sample_id[sample];

// What is looked for.

async function find() {
  const own = (turn += 1);
  byId("list").setAttribute("aria-busy", "true");
  const matching = await searched(look.query, () => own !== turn);
  if (own !== turn || !matching) return;
  hits = matching;
  refresh();
  byId("list").removeAttribute("aria-busy");
}

function refresh() {
  const { shown, totals } = found(hits, look.chosen, look.sort);
  list.show(shown, opened);
  const all = tables.samples.rows;
  byId("count").textContent = `${shown.length === all ? "" : `${count(shown.length)} of `}${plural(all, "sample")}`;
  byId("nothing").hidden = shown.length > 0;
  byId("nothing").textContent = all === 0 ? "No samples yet: materialise expert_responses." : "No sample is like that.";
  byId("clear").hidden = !look.query && !Object.values(look.chosen).some(Boolean);
  for (const [name] of FILTERS) offer(name, totals.get(name));
  place();
}

function drawFilters() {
  for (const [name, label] of FILTERS) {
    const box = element("select", { id: `filter-${name}`, name });
    byId("filters").append(element("label", {}, element("span", { text: label }), box));
  }
  byId("sort").append(...Object.entries(SORTS).map(([value, [text]]) => element("option", { value, text })));
}

/** The choices of a filter, each with how many samples it would leave. */
function offer(name, totals) {
  const { values } = indexed.get(name);
  const box = byId(`filter-${name}`);
  const byName = ([one], [other]) => one.localeCompare(other, "en", { numeric: true });
  const order = values.map((value, code) => [value, totals[code]]).sort(byName);
  if (look.chosen[name] && !values.includes(look.chosen[name])) order.push([look.chosen[name], 0]);
  const label = (value) => (name === "policy" ? shortId(value) : words(value));
  const options = order.map(([value, total]) => {
    return element("option", { value, text: `${label(value)} (${count(total)})` });
  });
  box.replaceChildren(element("option", { value: "", text: "any" }), ...options);
  box.value = look.chosen[name] ?? "";
  box.closest("label").classList.toggle("set", Boolean(look.chosen[name]));
}

function choose(name, value) {
  if (name === "sort") look.sort = value;
  else if (value) look.chosen[name] = value;
  else delete look.chosen[name];
  refresh();
  writeLink();
}

function clearAll() {
  look.query = byId("search").value = "";
  look.chosen = {};
  find();
  writeLink();
}

// The sample that is open.

function open(sample, { focus = false, remember = true } = {}) {
  const before = opened;
  opened = sample;
  list.mark(sample);
  document.body.classList.toggle("reading", sample >= 0);
  byId("about").hidden = sample >= 0;
  byId("sample").hidden = sample < 0;
  if (sample >= 0) {
    drawSample(byId("sample"), sample);
    byId("pane").scrollTop = 0;
    if (narrow()) scrollTo(0, 0);
    highlight();
    if (focus) byId("sample").focus({ preventScroll: true });
  }
  place();
  if (remember) writeLink(before < 0 && sample >= 0);
}

/** Where the open sample is among those shown. */
function place() {
  const where = opened < 0 ? -1 : list.samples.indexOf(opened);
  byId("place").textContent = where < 0 ? "" : `${count(where + 1)} of ${count(list.samples.length)}`;
  byId("previous").disabled = where <= 0;
  byId("next").disabled = where < 0 || where === list.samples.length - 1;
}

/** The next or previous sample: made active, and opened where one is open. */
function move(by) {
  list.activate(list.active + by);
  if (opened >= 0 && list.sample >= 0) open(list.sample);
}

function back() {
  if (narrow() && opened >= 0) {
    const sample = opened;
    open(-1);
    list.activate(Math.max(0, list.samples.indexOf(sample)));
  }
  byId("list").focus({ preventScroll: true });
}

function stepElements() {
  return [...document.querySelectorAll("#sample .story > .step")];
}

/** Go to a step of the open sample; `by` from the one that is current. */
function stepBy(by) {
  const steps = stepElements();
  if (steps.length === 0) return;
  const current = steps.findIndex((step) => step.hasAttribute("aria-current"));
  goTo(steps[Math.min(Math.max(current + by, 0), steps.length - 1)]);
}

function goTo(step) {
  for (const other of stepElements()) other.removeAttribute("aria-current");
  step.setAttribute("aria-current", "step");
  for (const button of document.querySelectorAll("[data-go]")) {
    if (button.dataset.go === step.dataset.step) button.setAttribute("aria-current", "step");
    else button.removeAttribute("aria-current");
  }
  step.focus({ preventScroll: true });
  step.scrollIntoView({ block: "start" });
}

/** Mark the words that were looked for in the open sample, without touching its elements. */
function highlight() {
  if (!CSS.highlights) return;
  CSS.highlights.delete("found");
  const wanted = look.query.toLowerCase().split(/\s+/).filter(Boolean);
  if (wanted.length === 0) return;
  const ranges = [];
  const walker = document.createTreeWalker(byId("sample"), NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    const text = node.data.toLowerCase();
    if (text.length !== node.data.length) continue;
    for (const word of wanted) {
      for (let from = text.indexOf(word); from >= 0; from = text.indexOf(word, from + word.length)) {
        const range = new Range();
        range.setStart(node, from);
        range.setEnd(node, from + word.length);
        ranges.push(range);
      }
    }
  }
  CSS.highlights.set("found", new Highlight(...ranges));
}

// Links: what is looked for and what is open is in the address.

function writeLink(push = false) {
  const said = new URLSearchParams();
  if (opened >= 0) said.set("sample", at(opened));
  if (look.query) said.set("q", look.query);
  for (const [name] of FILTERS) if (look.chosen[name]) said.set(name, look.chosen[name]);
  if (look.sort !== "made") said.set("sort", look.sort);
  const address = `#${said}`;
  if (address === (location.hash || "#")) return;
  if (push) history.pushState(null, "", address);
  else history.replaceState(null, "", address);
}

async function followLink() {
  const said = new URLSearchParams(location.hash.slice(1));
  look.query = byId("search").value = said.get("q") ?? "";
  look.chosen = Object.fromEntries(FILTERS.map(([name]) => [name, said.get(name)]).filter(([, value]) => value));
  look.sort = Object.hasOwn(SORTS, said.get("sort") ?? "") ? said.get("sort") : "made";
  byId("sort").value = look.sort;
  const wanted = said.get("sample");
  const sample = wanted === null ? -1 : (facts.byId.get(wanted) ?? -1);
  byId("message").textContent = wanted !== null && sample < 0 ? `This page has no sample ${wanted}.` : "";
  opened = sample;
  await find();
  open(sample, { remember: false });
}
