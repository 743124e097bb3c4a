// Keys and clicks.

const KEYS = {
  "/": () => byId("search").focus(),
  j: () => move(1),
  k: () => move(-1),
  ArrowDown: () => move(1),
  ArrowUp: () => move(-1),
  "[": () => stepBy(-1),
  "]": () => stepBy(1),
  ArrowLeft: () => stepBy(-1),
  ArrowRight: () => stepBy(1),
  Escape: back,
  "?": () => byId("keys").showModal(),
};

/** Keys of the list alone. */
const LIST_KEYS = {
  Enter: () => list.sample >= 0 && open(list.sample, { focus: true }),
  Home: () => move(-list.samples.length),
  End: () => move(list.samples.length),
  PageDown: () => move(Math.max(1, Math.floor(list.box.clientHeight / ROW) - 1)),
  PageUp: () => move(-Math.max(1, Math.floor(list.box.clientHeight / ROW) - 1)),
};

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || byId("keys").open) return;
  const at = event.target;
  if (at.matches("input[type=search], select")) {
    if (event.key === "Escape" || (event.key === "ArrowDown" && at.id === "search")) {
      event.preventDefault();
      byId("list").focus();
    }
    return;
  }
  const inList = at === byId("list") || at === document.body;
  const keys = inList ? { ...KEYS, ...LIST_KEYS } : KEYS;
  const action = Object.hasOwn(keys, event.key) ? keys[event.key] : null;
  if (!action || ((event.key === "ArrowUp" || event.key === "ArrowDown") && scrolls(at))) return;
  event.preventDefault();
  action();
}

/** Arrow keys scroll what is being read: in the sample, j and k go to the next one. */
function scrolls(target) {
  return Boolean(target.closest?.("#pane"));
}

async function onClick(event) {
  const target = event.target.closest("[data-copy], [data-go], [data-open]");
  if (!target) return;
  if (target.dataset.copy !== undefined) {
    event.preventDefault();
    await copy(target.dataset.copy);
    target.classList.add("copied");
    byId("message").textContent = "Copied.";
    setTimeout(() => target.classList.remove("copied"), 1200);
  } else if (target.dataset.go !== undefined) {
    goTo(stepElements().find((step) => step.dataset.step === target.dataset.go));
  } else {
    event.preventDefault();
    const sample = facts.byId.get(target.dataset.open);
    list.activate(list.samples.indexOf(sample));
    open(sample, { focus: true });
  }
}

/** A page from disk may not have the clipboard; then the selection is copied. */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = element("textarea", { class: "hidden" });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

function listen() {
  let waiting = 0;
  byId("search").addEventListener("input", (event) => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      look.query = event.target.value.trim();
      find().then(highlight);
      writeLink();
    }, WAIT_MS);
  });
  for (const box of document.querySelectorAll("#filters select, #sort")) {
    box.addEventListener("change", () => choose(box.name, box.value));
  }
  byId("clear").addEventListener("click", clearAll);
  byId("show-filters").addEventListener("click", ({ currentTarget }) => {
    currentTarget.setAttribute("aria-expanded", currentTarget.getAttribute("aria-expanded") !== "true");
  });
  byId("back").addEventListener("click", back);
  byId("previous").addEventListener("click", () => move(-1));
  byId("next").addEventListener("click", () => move(1));
  byId("show-keys").addEventListener("click", () => byId("keys").showModal());
  document.addEventListener("change", (event) => {
    if (event.target.id === "changes") document.body.classList.toggle("plain", !event.target.checked);
  });
  document.addEventListener("keydown", onKey);
  document.addEventListener("click", onClick);
  byId("close-keys").addEventListener("click", () => byId("keys").close());
  addEventListener("popstate", followLink);
}

async function start() {
  await unpack((share) => (byId("progress").value = share));
  workOutFacts();
  indexFilters();
  drawFilters();
  drawOverview(byId("overview"));
  list = new SampleList(byId("list"), (place) => {
    list.activate(place);
    open(list.sample, { focus: narrow() });
  });
  listen();
  await followLink();
  document.body.classList.remove("unpacking");
}

start().catch((error) => {
  byId("message").textContent = `This page cannot be shown: ${error.message}`;
  throw error;
});
