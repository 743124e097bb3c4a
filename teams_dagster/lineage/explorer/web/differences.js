// What changed between two texts, word by word: the shortest edit script of Myers (1986), then made readable.

const TOKEN = /\s+|[\p{L}\p{N}\p{M}_]+|[^\s\p{L}\p{N}\p{M}_]/gu;

/** Edits beyond which two texts are shown as one replaced by the other: the search takes their square. */
const MOST_EDITS = 1500;

/** The runs that lead from `before` to `after`: [kind, text], kind being "same", "removed" or "added". */
function differences(before, after) {
  const [old, fresh] = [before.match(TOKEN) ?? [], after.match(TOKEN) ?? []];
  let start = 0;
  while (start < old.length && start < fresh.length && old[start] === fresh[start]) start += 1;
  let end = 0;
  while (end < old.length - start && end < fresh.length - start && old.at(-1 - end) === fresh.at(-1 - end)) end += 1;
  const middle = readable(
    joined(shortestEdits(old.slice(start, old.length - end), fresh.slice(start, fresh.length - end))),
  );
  const tail = end ? [["same", old.slice(old.length - end).join("")]] : [];
  return joined([["same", old.slice(0, start).join("")], ...middle, ...tail]);
}

/** One [kind, token] for each token kept, removed or added. */
function shortestEdits(old, fresh) {
  const most = Math.min(old.length + fresh.length, MOST_EDITS);
  const furthest = new Map([[1, 0]]);
  const rounds = [];
  for (let edits = 0; edits <= most; edits += 1) {
    rounds.push(new Int32Array(edits + 1));
    for (let diagonal = -edits; diagonal <= edits; diagonal += 2) {
      let x = downwards(furthest, diagonal, edits) ? furthest.get(diagonal + 1) : furthest.get(diagonal - 1) + 1;
      while (x < old.length && x - diagonal < fresh.length && old[x] === fresh[x - diagonal]) x += 1;
      furthest.set(diagonal, x);
      rounds[edits][(diagonal + edits) / 2] = x;
      if (x >= old.length && x - diagonal >= fresh.length) return retraced(old, fresh, rounds);
    }
  }
  return [...old.map((token) => ["removed", token]), ...fresh.map((token) => ["added", token])];
}

/** Whether the furthest path on a diagonal ends with an addition, rather than with a removal. */
function downwards(furthest, diagonal, edits) {
  return diagonal === -edits || (diagonal !== edits && furthest.get(diagonal - 1) < furthest.get(diagonal + 1));
}

function retraced(old, fresh, rounds) {
  const found = [];
  let [x, y] = [old.length, fresh.length];
  for (let edits = rounds.length - 1; edits > 0; edits -= 1) {
    const before = rounds[edits - 1];
    const reached = { get: (diagonal) => before[(diagonal + edits - 1) / 2] };
    const down = downwards(reached, x - y, edits);
    const fromX = down ? reached.get(x - y + 1) : reached.get(x - y - 1);
    const startX = down ? fromX : fromX + 1;
    for (; x > startX; x -= 1, y -= 1) found.push(["same", old[x - 1]]);
    if (down) found.push(["added", fresh[(y -= 1)]]);
    else found.push(["removed", old[(x -= 1)]]);
  }
  for (; x > 0; x -= 1) found.push(["same", old[x - 1]]);
  return found.reverse();
}

/** Neighbours of one kind as one run, and between two kept runs all that was removed before all that was added. */
function joined(runs) {
  const result = [];
  let [removed, added] = ["", ""];
  const flush = () => {
    if (removed) result.push(["removed", removed]);
    if (added) result.push(["added", added]);
    [removed, added] = ["", ""];
  };
  for (const [kind, text] of runs) {
    if (!text) continue;
    if (kind === "removed") removed += text;
    else if (kind === "added") added += text;
    else {
      flush();
      if (result.at(-1)?.[0] === "same") result.at(-1)[1] += text;
      else result.push(["same", text]);
    }
  }
  flush();
  return result;
}

/** Without the coincidences: a kept run that is shorter than the changes on both sides of it is part of the change. */
function readable(runs) {
  for (;;) {
    const split = runs.flatMap((run, place) => {
      return isCoincidence(runs, place) ? [["removed", run[1]], ["added", run[1]]] : [run];
    });
    if (split.length === runs.length) return runs;
    runs = joined(split);
  }
}

function isCoincidence(runs, place) {
  const [kind, text] = runs[place];
  if (kind !== "same" || place === 0 || place === runs.length - 1) return false;
  return text.length <= changed(runs, place, -1) && text.length <= changed(runs, place, 1);
}

/** The longer of what was removed and what was added beside a kept run, in characters. */
function changed(runs, place, direction) {
  let longest = 0;
  for (let at = place + direction; runs[at] && runs[at][0] !== "same"; at += direction) {
    longest = Math.max(longest, runs[at][1].length);
  }
  return longest;
}
