// The list of samples: rows exist for what can be seen, however many samples there are.

const ROW = 80;
const BEYOND = 6;
const OPENING = 44;

/** The beginning of a sample's instruction; and, where its last edit kept much of it, what that changed. */
function gist(sample) {
  const text = texts[tables.samples.instruction[sample]];
  const before = textOf(tables.transitions.text_before[tables.samples.transition_id[sample]]) ?? "";
  let same = 0;
  while (same < before.length && same < text.length && before[same] === text[same]) same += 1;
  if (same <= OPENING || same === text.length) return beginning(text, 240);
  return `${beginning(text, OPENING).trimEnd()} … ${beginning(text.slice(text.lastIndexOf(" ", same) + 1), 160)}`;
}

/** At most `length` characters, cut between words and never inside a character. */
function beginning(text, length) {
  if (text.length <= length) return text;
  const space = text.lastIndexOf(" ", length);
  return text.slice(0, space > 0 ? space : length).replace(/[\ud800-\udbff]$/u, "");
}

class SampleList {
  constructor(box, open) {
    this.box = box;
    this.inner = element("div", { class: "rows", role: "presentation" });
    this.box.append(this.inner);
    this.samples = new Int32Array(0);
    this.active = 0;
    this.opened = -1;
    this.drawn = new Map();
    this.box.addEventListener("scroll", () => requestAnimationFrame(() => this.draw()), { passive: true });
    this.box.addEventListener("click", (event) => {
      const row = event.target.closest("[data-place]");
      if (row) open(Number(row.dataset.place));
    });
    new ResizeObserver(() => this.draw()).observe(this.box);
  }

  /** Show other samples; the one that was active stays so where it is among them. */
  show(samples, sample) {
    this.samples = samples;
    this.active = Math.max(0, samples.indexOf(sample));
    this.inner.style.height = `${samples.length * ROW}px`;
    this.clear();
    this.reveal(this.active);
    this.draw();
  }

  get sample() {
    return this.samples.length ? this.samples[this.active] : -1;
  }

  /** Make a place active and scroll to it. */
  activate(place) {
    if (this.samples.length === 0) return;
    this.active = Math.min(Math.max(place, 0), this.samples.length - 1);
    this.reveal(this.active);
    this.clear();
    this.draw();
  }

  mark(sample) {
    this.opened = sample;
    this.clear();
    this.draw();
  }

  clear() {
    this.inner.replaceChildren();
    this.drawn.clear();
  }

  reveal(place) {
    const top = place * ROW;
    if (top < this.box.scrollTop) this.box.scrollTop = top;
    const least = top + ROW - this.box.clientHeight;
    if (least > this.box.scrollTop) this.box.scrollTop = least;
  }

  draw() {
    const first = Math.max(0, Math.floor(this.box.scrollTop / ROW) - BEYOND);
    const bottom = Math.ceil((this.box.scrollTop + this.box.clientHeight) / ROW);
    const last = Math.min(this.samples.length, bottom + BEYOND);
    const wanted = new Set(this.samples.length ? [this.active] : []);
    for (let place = first; place < last; place += 1) wanted.add(place);
    for (const [place, row] of this.drawn) {
      if (wanted.has(place)) continue;
      row.remove();
      this.drawn.delete(place);
    }
    for (const place of wanted) {
      if (this.drawn.has(place)) continue;
      const row = this.row(place);
      this.drawn.set(place, row);
      this.inner.append(row);
    }
    if (this.samples.length) this.box.setAttribute("aria-activedescendant", `row-${this.active}`);
    else this.box.removeAttribute("aria-activedescendant");
  }

  row(place) {
    const sample = this.samples[place];
    const { samples, transitions } = tables;
    const accepted = samples.accepted[sample] === 1;
    const operations = chainOf(sample).map((hop) => words(nameOf(transitions.operation[hop]))).join(" › ");
    const outcome = element("span", { class: accepted ? "hidden" : null, text: words(outcomeOf(sample)) });
    const row = element(
      "div",
      {
        class: `row${accepted ? "" : " refused"}${place === this.active ? " active" : ""}`,
        role: "option",
        id: `row-${place}`,
        "aria-selected": sample === this.opened ? "true" : "false",
        "aria-setsize": this.samples.length,
        "aria-posinset": place + 1,
        "data-place": place,
        "data-sample": samples.sample_id[sample],
      },
      paragraph("what", gist(sample)),
      element(
        "p",
        { class: "meta" },
        element("span", { class: `mark ${accepted ? "accepted" : "refused"}` }, outcome),
        element("span", { class: "operations", text: operations, title: operations }),
        element("span", { class: "figure", text: money(facts.cost[sample]).replace("unknown cost", "$?") }),
      ),
    );
    row.style.transform = `translateY(${place * ROW}px)`;
    return row;
  }
}
