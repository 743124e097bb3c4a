// What there is, while no sample is open.

const MOST_NAMED = 4;

function drawOverview(place) {
  const { samples, seeds, transitions, datasets } = tables;
  const accepted = samples.accepted.reduce((sum, value) => sum + value, 0);
  const latest = facts.latest < 0 ? null : idElement(datasets.dataset_version[facts.latest]);
  place.replaceChildren(
    terms([
      ["Samples", `${count(samples.rows)}, ${count(accepted)} of them accepted`],
      ["Seeds", count(seeds.rows)],
      ["Edits", `${count(transitions.rows)}, with those that were refused`],
      ["Generations", generationsText()],
      ["Latest dataset", latest && element("span", {}, latest, ` ${splitsText()}`)],
      ["Cost of a sample", samples.rows ? costText() : null],
    ]),
  );
}

function generationsText() {
  const weeks = indexed.get("generation").values.toSorted();
  return weeks.length > MOST_NAMED ? `${count(weeks.length)}, from ${weeks[0]} to ${weeks.at(-1)}` : weeks.join(", ");
}

function splitsText() {
  const { values, codes } = indexed.get("split");
  const totals = new Int32Array(values.length);
  for (const code of codes) totals[code] += 1;
  const named = values.map((value, code) => [value, `${count(totals[code])} ${words(value)}`]);
  return named.filter(([value]) => value !== NOT_IN_IT).map(([, text]) => text).join(", ");
}

function costText() {
  const known = facts.cost.filter((cost) => !Number.isNaN(cost)).sort();
  const unknown = facts.cost.length - known.length;
  if (known.length === 0) return "unknown";
  const range = `median ${money(known[Math.floor(known.length / 2)])}, at most ${money(known.at(-1))}`;
  return unknown ? `${range}, unknown for ${count(unknown)}` : range;
}
