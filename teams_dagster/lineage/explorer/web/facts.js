// What is worked out of the tables, once: a sample's chain, cost, reward and dataset versions.

const facts = {};

function workOutFacts() {
  const { samples, transitions, hops, questions, splits, datasets } = tables;
  facts.hopsOf = grouped(hops.sample, samples.rows);
  facts.questionsOf = grouped(questions.transition_id, transitions.rows);
  facts.splitsOf = grouped(splits.sample, samples.rows);
  facts.transitionsOf = grouped(transitions.episode_id, names.length);
  facts.sampleOf = new Int32Array(transitions.rows).fill(-1);
  samples.transition_id.forEach((transition, sample) => {
    if (transition >= 0) facts.sampleOf[transition] = sample;
  });
  facts.latest = datasets.latest.indexOf(1);
  facts.cost = Float64Array.from({ length: samples.rows }, (_, sample) => costOf(sample));
  facts.length = Int32Array.from(
    { length: samples.rows },
    (_, sample) => texts[samples.instruction[sample]].length + texts[samples.input[sample]].length,
  );
  facts.reward = Float64Array.from({ length: samples.rows }, (_, sample) => {
    const transition = samples.transition_id[sample];
    return transition < 0 ? NaN : transitions.reward[transition];
  });
  facts.byId = rowsBy(samples.sample_id);
  facts.templates = rowsBy(tables.templates.prompt_version);
  facts.policies = rowsBy(tables.policies.policy_version);
}

function rowsBy(values) {
  return new Map(Array.from(values, (value, row) => [value, row]));
}

/** The transitions that led to a sample: the first edits its seed, the last made it. */
function chainOf(sample) {
  return Array.from(facts.hopsOf(sample), (row) => tables.hops.transition_id[row]);
}

/** Nano-dollars of questions; NaN when the price of one is not known. */
function costOfQuestions(rows) {
  let total = 0;
  for (const row of rows) total += tables.questions.cost_nano_usd[row] ?? NaN;
  return total;
}

const ANSWERING = new Set(["respond", "respond, not chosen", "rate"]);

/** Whether a question belongs to the sample that a transition made, and not to the edit. */
const isAnswering = (row) => ANSWERING.has(nameOf(tables.questions.kind[row]));

/** What the answers of a sample's chain, its own and their ratings cost whoever paid first. */
function costOf(sample) {
  let total = 0;
  for (const hop of facts.hopsOf(sample)) {
    for (const row of facts.questionsOf(tables.hops.transition_id[hop])) {
      if (!isAnswering(row) || tables.hops.transition_id[hop] === tables.samples.transition_id[sample]) {
        total += tables.questions.cost_nano_usd[row] ?? NaN;
      }
    }
  }
  return total;
}

/** The questions of a transition: those of the edit, or those of the answers to the sample made of it. */
function questionsOf(transition, answering = false) {
  const rows = Array.from(facts.questionsOf(transition));
  return rows.filter((row) => isAnswering(row) === answering);
}

/** The side of the latest dataset version that a sample is on; null when it is not in it. */
function latestSplit(sample) {
  for (const row of facts.splitsOf(sample)) {
    if (tables.splits.dataset_version[row] === facts.latest) return nameOf(tables.splits.split[row]);
  }
  return null;
}

/** Accepted, or the reason why not. */
function outcomeOf(sample) {
  const { accepted, reason } = tables.samples;
  return accepted[sample] ? "accepted" : (nameOf(reason[sample]) ?? "no reason recorded");
}

/** Why an edit was not accepted. */
function refusalOf(transition) {
  const { eliminated_by, verdict, failure } = tables.transitions;
  if (failure[transition] >= 0) return "failed";
  return words(nameOf(eliminated_by[transition]) ?? nameOf(verdict[transition]) ?? "not reviewed");
}

/** The current output of an asset in a partition, by row; -1 when the read model does not know it. */
function outputOf(asset, partition) {
  const { rows, asset_key, partition_key } = tables.outputs;
  for (let row = 0; row < rows; row += 1) {
    if (nameOf(asset_key[row]) === asset && partition_key[row] === partition) return row;
  }
  return -1;
}
