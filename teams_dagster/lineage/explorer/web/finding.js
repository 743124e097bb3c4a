// Which of the samples that a search found are shown, and in which order.

const NOT_IN_IT = "not in it";
const REFUSED = "refused";

/** Name, label and the values of a sample, which a filter compares with the one chosen. */
const FILTERS = [
  ["generation", "Generation", (sample) => [nameOf(tables.samples.partition_key[sample])]],
  ["operation", "Operation", (sample) => chainOf(sample).map((hop) => nameOf(tables.transitions.operation[hop]))],
  ["outcome", "Outcome", (sample) => outcomes(sample)],
  ["split", "Latest dataset", (sample) => [latestSplit(sample) ?? NOT_IN_IT]],
  ["policy", "Policy", (sample) => [policyOf(sample)]],
  ["edits", "Edits", (sample) => [String(facts.hopsOf(sample).length)]],
];

const SORTS = {
  made: ["As made", null, 1],
  cost: ["Cost, highest", () => facts.cost, -1],
  cheap: ["Cost, lowest", () => facts.cost, 1],
  length: ["Length, longest", () => facts.length, -1],
  short: ["Length, shortest", () => facts.length, 1],
  reward: ["Reward, highest", () => facts.reward, -1],
  unrewarded: ["Reward, lowest", () => facts.reward, 1],
};

function outcomes(sample) {
  const outcome = outcomeOf(sample);
  return tables.samples.accepted[sample] ? [outcome] : [REFUSED, `${REFUSED}: ${outcome}`];
}

function policyOf(sample) {
  const transition = tables.samples.transition_id[sample];
  return transition < 0 ? NOT_KNOWN : nameOf(tables.transitions.policy_version[transition]);
}

/** For each filter its values and, for each sample, the numbers of its own: `codes` from `starts`. */
const indexed = new Map();

function indexFilters() {
  for (const [name, , valuesOf] of FILTERS) {
    const [numbers, codes] = [new Map(), []];
    const starts = new Int32Array(tables.samples.rows + 1);
    for (let sample = 0; sample < tables.samples.rows; sample += 1) {
      for (const value of new Set(valuesOf(sample))) {
        if (!numbers.has(value)) numbers.set(value, numbers.size);
        codes.push(numbers.get(value));
      }
      starts[sample + 1] = codes.length;
    }
    indexed.set(name, { values: [...numbers.keys()], numbers, codes: Int32Array.from(codes), starts });
  }
}

/** The samples with a hit that every filter lets through, in order; and for each filter how many each value has. */
function found(hits, chosen, sort) {
  const set = FILTERS.map(([name], place) => [place, indexed.get(name), chosen[name]]).filter(([, , value]) => value);
  const totals = new Map(FILTERS.map(([name]) => [name, new Int32Array(indexed.get(name).values.length)]));
  const shown = [];
  for (const sample of sorted(sort)) {
    if (!hits[sample]) continue;
    const missed = set.filter(([, index, value]) => !has(index, sample, index.numbers.get(value)));
    if (missed.length === 0) shown.push(sample);
    if (missed.length < 2) addTo(totals, sample, missed[0]?.[0]);
  }
  return { shown: Int32Array.from(shown), totals };
}

function has({ codes, starts }, sample, code) {
  for (let at = starts[sample]; at < starts[sample + 1]; at += 1) if (codes[at] === code) return true;
  return false;
}

/** A filter counts the samples that all the others let through. */
function addTo(totals, sample, missed) {
  FILTERS.forEach(([name], place) => {
    if (missed !== undefined && missed !== place) return;
    const { codes, starts } = indexed.get(name);
    for (let at = starts[sample]; at < starts[sample + 1]; at += 1) totals.get(name)[codes[at]] += 1;
  });
}

const orders = new Map();

/** All samples in an order; those without a value come last. */
function sorted(sort) {
  if (!orders.has(sort)) {
    const [, valuesOf, direction] = SORTS[sort];
    const order = Int32Array.from({ length: tables.samples.rows }, (_, sample) => sample);
    const values = valuesOf?.();
    if (values) {
      const last = direction * Infinity;
      const ranked = Float64Array.from(values, (value) => (Number.isNaN(value) ? last : value));
      order.sort((one, other) => direction * (ranked[one] - ranked[other]) || one - other);
    }
    orders.set(sort, order);
  }
  return orders.get(sort);
}
