// One sample: what it is, how it came about, and what was made of it.

const COST_OF_A_SAMPLE = "What the answers of its chain, its own and their ratings cost, whoever paid first";

/** Fill `place` with the story of a sample. */
function drawSample(place, sample) {
  const chain = chainOf(sample);
  place.replaceChildren(
    headElement(sample, chain),
    element("ol", { class: "steps story" }, storySteps(sample, chain)),
    relativesElement(sample, chain),
    useElement(sample),
  );
}

function headElement(sample, chain) {
  const { samples } = tables;
  const accepted = samples.accepted[sample] === 1;
  const split = latestSplit(sample);
  const steps = ["Seed", ...chain.map((hop) => words(nameOf(tables.transitions.operation[hop]))), "Response"];
  const names = ["Seed", ...chain.map((_, at) => `Edit ${at + 1}`), "Response"];
  return element(
    "div",
    { class: "sample-head" },
    element("h2", {}, "Sample ", idElement(samples.sample_id[sample], 32)),
    element(
      "p",
      { class: "figures" },
      badge(accepted ? "accepted" : `refused: ${words(outcomeOf(sample))}`, accepted ? "good" : "bad"),
      split ? badge(words(split)) : badge("not in the latest dataset", "plain"),
      element("span", { text: `generation ${nameOf(samples.partition_key[sample])}` }),
      element("span", { text: plural(chain.length, "edit") }),
      element("span", { text: `reward ${decimals(facts.reward[sample], 2)}` }),
      element("span", { text: money(facts.cost[sample]), title: COST_OF_A_SAMPLE }),
    ),
    element(
      "div",
      { class: "path" },
      element(
        "ol",
        { "aria-label": "Steps" },
        steps.map((text, at) => element("li", {}, element("button", { type: "button", "data-go": names[at], text }))),
      ),
      element(
        "label",
        { class: "toggle" },
        element("input", { type: "checkbox", id: "changes", checked: showsChanges() }),
        "Changes",
      ),
    ),
  );
}

const showsChanges = () => !document.body.classList.contains("plain");

/** The seed, the edits with what was refused before each of them, and the answer. */
function storySteps(sample, chain) {
  const { step, episode_id, operation, accepted } = tables.transitions;
  const own = tables.samples.transition_id[sample];
  const inChain = new Set(chain);
  const isRefused = (edit) => accepted[edit] !== 1 && nameOf(operation[edit]) !== "none" && !inChain.has(edit);
  const aside = Array.from(facts.transitionsOf(episode_id[own])).filter(isRefused);
  const steps = [seedStep(tables.samples.seed_id[sample])];
  let from = -1;
  chain.forEach((hop, at) => {
    const between = aside.filter((other) => step[other] > from && step[other] < step[hop]);
    if (between.length) steps.push(besideStep(between));
    steps.push(editStep(hop, at + 1));
    from = step[hop];
  });
  steps.push(responseStep(sample));
  const later = aside.filter((other) => step[other] > from);
  if (later.length) steps.push(besideStep(later));
  return steps;
}

/** The other samples of its episode. */
function relativesElement(sample, chain) {
  const own = tables.samples.transition_id[sample];
  const others = Array.from(facts.transitionsOf(tables.transitions.episode_id[own]))
    .map((transition) => facts.sampleOf[transition])
    .filter((other) => other >= 0 && other !== sample);
  if (others.length === 0) return null;
  const inChain = new Set(chain);
  return element(
    "section",
    { class: "panel" },
    element("h3", { text: "Samples of the same episode" }),
    element(
      "ul",
      { class: "links" },
      others.map((other) => {
        const transition = tables.samples.transition_id[other];
        const id = tables.samples.sample_id[other];
        const where = inChain.has(transition) ? "on the way" : "made later";
        const text = `${words(nameOf(tables.transitions.operation[transition]))}, ${where}`;
        return element(
          "li",
          {},
          element("a", { href: `#sample=${encodeURIComponent(id)}`, "data-open": id, text }),
          element("span", { class: "soft clipped", dir: "auto", text: gist(other) }),
        );
      }),
    ),
  );
}

/** The dataset versions that hold a sample, the newest first, and the adapters trained on them. */
function useElement(sample) {
  const { dataset_version } = tables.splits;
  const rows = Array.from(facts.splitsOf(sample));
  rows.sort((one, other) => dataset_version[other] - dataset_version[one]);
  const heads = ["dataset version", "split", "made", "code", "trained on its train split"];
  return element(
    "section",
    { class: "panel" },
    element("h3", { text: "Used in" }),
    rows.length
      ? tableElement("Dataset versions", heads, rows.map(datasetRow))
      : remark("No dataset version holds it."),
  );
}

function datasetRow(row) {
  const { datasets, models, splits } = tables;
  const dataset = splits.dataset_version[row];
  const trained = [];
  for (let model = 0; model < models.rows; model += 1) {
    if (models.dataset_version[model] !== dataset) continue;
    const version = idElement(models.model_version[model]);
    trained.push(element("span", { class: "model" }, `${nameOf(models.kind[model])} `, version));
  }
  return element(
    "tr",
    {},
    element("td", {}, idElement(datasets.dataset_version[dataset]), dataset === facts.latest ? " latest" : ""),
    element("td", { text: words(nameOf(splits.split[row])) }),
    element("td", { text: moment(nameOf(datasets.made_at[dataset])) }),
    element("td", { text: nameOf(datasets.code_version[dataset]) ?? NOT_KNOWN }),
    element("td", {}, trained.length ? trained : NOT_KNOWN),
  );
}
