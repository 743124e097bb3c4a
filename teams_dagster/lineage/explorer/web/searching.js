// Which samples hold words, in their texts or ids.

const SLICE_MS = 12;
const lowered = [];
const textsWith = new Map();
const MOST_WORDS_KEPT = 20;

/** One for each sample that holds all words of `query`. Null when `stale` says that nobody waits any more. */
async function searched(query, stale) {
  const hits = new Uint8Array(tables.samples.rows).fill(1);
  for (const word of new Set(query.toLowerCase().split(/\s+/).filter(Boolean))) {
    const holding = textsWith.get(word) ?? (await searchedTexts(word, stale));
    if (!holding) return null;
    textsWith.set(word, holding);
    if (textsWith.size > MOST_WORDS_KEPT) textsWith.delete(textsWith.keys().next().value);
    for (let sample = 0; sample < hits.length; sample += 1) {
      if (hits[sample] && !holds(sample, word, holding)) hits[sample] = 0;
    }
  }
  return hits;
}

/** One for each text that holds `word`. It lets go of the page now and then. */
async function searchedTexts(word, stale) {
  const holding = new Uint8Array(texts.length);
  let began = performance.now();
  for (let number = 0; number < texts.length; number += 1) {
    lowered[number] ??= texts[number].toLowerCase();
    if (lowered[number].includes(word)) holding[number] = 1;
    if (number % 500 === 0 && performance.now() - began > SLICE_MS) {
      await pause();
      if (stale()) return null;
      began = performance.now();
    }
  }
  return holding;
}

function holds(sample, word, holding) {
  const { samples, seeds, transitions } = tables;
  const [seed, transition] = [samples.seed_id[sample], samples.transition_id[sample]];
  const own = [samples.instruction[sample], samples.input[sample], samples.response[sample]];
  const numbers = [...own, seeds.text[seed], seeds.input[seed]];
  if (numbers.some((number) => number >= 0 && holding[number])) return true;
  const ids = [samples.sample_id[sample], seeds.seed_id[seed]];
  if (transition >= 0) ids.push(transitions.transition_id[transition], nameOf(transitions.episode_id[transition]));
  return ids.some((id) => id?.toLowerCase().includes(word));
}

/** Until the browser has done what else there is to do. */
function pause() {
  return new Promise((resolve) => {
    const channel = new MessageChannel();
    channel.port1.onmessage = resolve;
    channel.port2.postMessage(null);
  });
}
