"""The explorer as a person uses it: in a real headless Chromium, from disk, without a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from teams_dagster.lineage.explorer.page import write_explorer
from tests.lineage.explorer.example_store import ABOUT, HOSTILE, Store, example, hostile, several, write_many

pytestmark = pytest.mark.browser

ROW = "#list [role=option]"

PATIENCE_MS = 60_000
"""A machine that is busy with something else takes its time."""

expect.set_options(timeout=PATIENCE_MS)

Open = Callable[..., Page]


@pytest.fixture(scope="module")
def example_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("example"), example())


@pytest.fixture(scope="module")
def large_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("large")
    model = write_many(folder / "teams.duckdb", samples=20_000)
    write_explorer(model, folder / "explorer.html", about=ABOUT)
    return folder / "explorer.html"


def made(folder: Path, store: Store) -> Path:
    """The page of a store."""
    write_explorer(store.write(folder / "teams.duckdb"), folder / "explorer.html", about=ABOUT)
    return folder / "explorer.html"


@dataclass
class Tab:
    """A page of the browser, and all that it said, asked for or popped up, and what went wrong in it."""

    page: Page
    noises: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on("console", lambda message: self.noises.append(message.text))
        self.page.on("pageerror", lambda error: self.noises.append(str(error)))
        self.page.on("dialog", lambda dialog: self.noises.append(dialog.message))
        self.page.on("request", lambda request: self._asked(request.url))

    def _asked(self, url: str) -> None:
        if not url.startswith("file:"):
            self.noises.append(url)


@pytest.fixture(scope="module")
def tab(browser: Browser) -> Tab:
    """The one in which every page is opened: a new one for each takes three times as long."""
    return Tab(browser.new_page())


@pytest.fixture
def opened(tab: Tab, example_page: Path) -> Iterator[Open]:
    """Opens a page anew, ready to be used; in the end it was quiet."""

    def open_page(link: str = "", path: Path = example_page, width: int = 1200) -> Page:
        tab.page.set_viewport_size({"width": width, "height": 800})
        tab.page.goto("about:blank")  # where the address differs in its fragment alone, nothing would be loaded
        tab.page.goto(path.as_uri() + link)
        expect(tab.page.locator("body.unpacking")).to_have_count(0)
        return tab.page

    tab.noises.clear()
    yield open_page
    assert tab.noises == []


def listed(page: Page) -> list[str | None]:
    """The samples in the list, from the top."""
    rows = sorted(page.locator(ROW).all(), key=lambda row: (row.bounding_box() or {})["y"])
    return [row.get_attribute("data-sample") for row in rows]


def expect_listed(page: Page, samples: list[str]) -> None:
    for sample in samples:
        expect(page.locator(f"[data-sample='{sample}']")).to_have_count(1)
    expect(page.locator(ROW)).to_have_count(len(samples))
    assert listed(page) == samples


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("asia", ["rivers-1", "rivers-2"]),
        ("MEKONG slow", ["rivers-2"]),
        ("slow nothing", []),
        ("table-1", ["table-1"]),
        ("c 3", ["table-1"]),
        ("name three rivers.", ["rivers-1", "rivers-2"]),
        ("seed-table", ["table-1"]),
        ("e1.2", ["rivers-2"]),
    ],
)
def test_search_finds_samples_that_hold_every_word_in_a_text_or_an_id(
    opened: Open, words: str, found: list[str]
) -> None:
    page = opened()
    page.get_by_role("searchbox").fill(words)
    expect(page.locator("#count")).to_have_text(f"{len(found)} of 3 samples" if len(found) < 3 else "3 samples")
    expect_listed(page, found)


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("Generation", "2026-11-23", ["table-1"]),
        ("Operation", "add_constraints", ["rivers-2"]),
        ("Outcome", "accepted", ["rivers-1", "rivers-2"]),
        ("Outcome", "refused", ["table-1"]),
        ("Outcome", "refused: short_apology", ["table-1"]),
        ("Latest dataset", "train", ["rivers-1"]),
        ("Latest dataset", "not in it", ["table-1"]),
        ("Policy", "policy-1", ["rivers-1", "rivers-2"]),
        ("Edits", "2", ["rivers-2"]),
    ],
)
def test_each_filter_leaves_its_samples(opened: Open, name: str, value: str, found: list[str]) -> None:
    page = opened()
    page.get_by_label(name).select_option(value)
    expect_listed(page, found)


def test_filters_and_search_work_together_and_are_cleared_together(opened: Open) -> None:
    page = opened()
    page.get_by_label("Policy").select_option("policy-1")
    page.get_by_role("searchbox").fill("verse")
    expect(page.locator("#count")).to_have_text("1 of 3 samples")
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#count")).to_have_text("3 samples")


def test_a_choice_says_how_many_samples_it_would_leave(opened: Open) -> None:
    page = opened()
    page.get_by_label("Generation").select_option("2026-11-16")
    operations = page.get_by_label("Operation").locator("option").all_inner_texts()
    assert operations == ["any", "add constraints (1)", "complicate input (0)", "concretizing (2)"]


@pytest.mark.parametrize(
    ("sort", "samples"),
    [
        ("As made", ["rivers-1", "rivers-2", "table-1"]),
        ("Cost, highest", ["rivers-2", "rivers-1", "table-1"]),
        ("Cost, lowest", ["rivers-1", "rivers-2", "table-1"]),
        ("Length, longest", ["rivers-2", "rivers-1", "table-1"]),
        ("Length, shortest", ["table-1", "rivers-1", "rivers-2"]),
        ("Reward, highest", ["rivers-1", "table-1", "rivers-2"]),
        ("Reward, lowest", ["rivers-2", "rivers-1", "table-1"]),
    ],
)
def test_samples_can_be_sorted_and_an_unknown_cost_comes_last(opened: Open, sort: str, samples: list[str]) -> None:
    page = opened()
    page.get_by_label("Sort").select_option(sort)
    expect_listed(page, samples)


def test_a_sample_opens_with_its_chain_from_the_seed_to_the_answer(opened: Open) -> None:
    page = opened()
    page.locator("[data-sample='rivers-2']").click()
    headings = page.locator("#sample .story > .step h3")
    expect(headings).to_have_text(["Seed", "concretizing", "add constraints", "Response"])
    expect(page.locator("#sample .story > .response")).to_contain_text("the Mekong slow")


def test_what_changed_is_marked_as_insertions_and_deletions(opened: Open) -> None:
    page = opened("#sample=rivers-2")
    step = page.get_by_role("listitem", name="Edit 2")
    expect(step.get_by_role("deletion")).to_have_text(["three"])
    expect(step.get_by_role("insertion")).to_have_text(["four", ", in verse"])
    marks = "element => getComputedStyle(element).textDecorationLine"
    assert [step.locator(tag).first.evaluate(marks) for tag in ("del", "ins")] == ["line-through", "underline"]


def test_the_changed_input_is_compared_too(opened: Open) -> None:
    page = opened("#sample=table-1")
    expect(page.get_by_role("listitem", name="Edit 1").get_by_role("insertion")).to_have_text(["c 3\n"])


def test_changes_can_be_put_away(opened: Open) -> None:
    page = opened("#sample=rivers-2")
    page.get_by_label("Changes").uncheck()
    expect(page.get_by_role("listitem", name="Edit 2").locator("del").first).to_be_hidden()


def test_a_verdict_says_how_likely_it_was_and_whether_the_order_of_the_texts_decided(opened: Open) -> None:
    step = opened("#sample=rivers-2").get_by_role("listitem", name="Edit 2")
    told = "reviewer: not equal, P(Not Equal) 0.88, another verdict with the texts turned"
    expect(step.locator(".choice")).to_contain_text(told)


def test_a_step_says_who_chose_it_and_what_came_of_it(opened: Open) -> None:
    step = opened("#sample=table-1").get_by_role("listitem", name="Edit 1")
    expect(step.locator(".choice")).to_contain_text("probability 0.250")
    expect(step.locator(".choice")).to_contain_text("named by the guide")
    expect(step.locator(".choice")).to_contain_text("reviewer: not equal")
    expect(step.locator(".step-head")).to_contain_text("accepted")
    expect(step.locator(".step-head")).to_contain_text("reward 0.80")


def test_a_step_unfolds_its_questions_policy_prompts_and_origin(opened: Open) -> None:
    step = opened("#sample=rivers-1").get_by_role("listitem", name="Edit 1")
    expect(step.get_by_role("table")).to_be_hidden()
    step.get_by_text("2 queries · 240 tokens · $0.003 · 1 reused").click()
    expect(step.get_by_role("row")).to_contain_text(["query", "openai gpt-test", "reused"])
    unfolded = step.locator(".terms")
    for text in ("trained by trpo, 26 iterations", "concretizing", "generated_instructions", "2026-11-16", "code-7"):
        expect(unfolded).to_contain_text(text)


def test_refused_edits_are_beside_the_chain_and_folded(opened: Open) -> None:
    page = opened("#sample=rivers-2")
    refused = page.locator(".beside")
    expect(refused.get_by_text("Name 3 rivers")).to_be_hidden()
    refused.get_by_text("1 refused edit: deepening, equal").click()
    expect(refused.locator(".step")).to_be_visible()


def test_a_step_that_kept_the_text_is_no_refused_edit(opened: Open, tmp_path: Path) -> None:
    store = example()
    rested = {"operation": "none", "accepted": False, "verdict": None, "reward": 0.0}
    store.edit("e1.3", "e1.2", "Name four rivers of Asia, in verse.", **rested)
    page = opened("#sample=rivers-2", path=made(tmp_path, store))
    expect(page.locator(".beside > details > summary")).to_have_text("1 refused edit: deepening, equal")


def test_an_edit_without_a_text_and_an_answer_without_a_text_say_so(opened: Open) -> None:
    page = opened("#sample=table-1")
    expect(page.locator(".story > .response")).to_contain_text("No usable answer came back.")
    page.get_by_text("1 refused edit: breadth, malformed reply").click()
    expect(page.locator(".beside")).to_contain_text("No rewrite came back.")


def test_dataset_versions_splits_and_adapters_are_shown(opened: Open) -> None:
    rows = opened("#sample=rivers-1").get_by_role("region", name="Dataset versions").get_by_role("row")
    expect(rows).to_contain_text(["dataset version", "dataset-new latest", "dataset-old"])
    expect(rows.nth(1)).to_contain_text("lora adapter-1")


def test_an_unknown_cost_is_never_a_number(opened: Open) -> None:
    expect(opened("#sample=table-1").locator(".figures")).to_contain_text("unknown cost")


def test_keys_move_open_step_and_go_back(opened: Open) -> None:
    page = opened()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator("#sample h2")).to_contain_text("rivers-2")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("]")
    expect(page.locator("#sample [aria-current=step].step")).to_have_attribute("data-step", "Edit 1")
    page.keyboard.press("[")
    expect(page.locator("#sample [aria-current=step].step")).to_have_attribute("data-step", "Seed")
    page.keyboard.press("k")
    expect(page.locator("#sample h2")).to_contain_text("rivers-1")
    page.keyboard.press("Escape")
    expect(page.get_by_role("listbox", name="Samples")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(page.locator("#sample h2")).to_contain_text("rivers-2")


def test_slash_searches_and_letters_typed_there_are_no_keys(opened: Open) -> None:
    page = opened()
    page.keyboard.press("/")
    page.keyboard.type("jk?")
    expect(page.get_by_role("searchbox")).to_have_value("jk?")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("Escape")
    expect(page.get_by_role("listbox", name="Samples")).to_be_focused()


def test_the_question_mark_shows_the_keys(opened: Open) -> None:
    page = opened()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_what_has_the_focus_is_seen(opened: Open) -> None:
    page = opened()
    for _ in range(4):
        page.keyboard.press("Tab")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_a_screen_reader_is_told_the_place_in_the_list(opened: Open) -> None:
    page = opened("#sample=rivers-2")
    chosen = page.get_by_role("listbox", name="Samples").get_by_role("option", selected=True)
    expect(chosen).to_have_attribute("aria-posinset", "2")
    expect(chosen).to_have_attribute("aria-setsize", "3")
    active = page.get_by_role("listbox", name="Samples").get_attribute("aria-activedescendant")
    assert chosen.get_attribute("id") == active


def test_a_link_opens_a_sample_and_a_view(opened: Open) -> None:
    page = opened("#sample=rivers-1&q=asia&policy=policy-1&sort=cost")
    expect(page.locator("#sample h2")).to_contain_text("rivers-1")
    expect(page.get_by_role("searchbox")).to_have_value("asia")
    expect_listed(page, ["rivers-2", "rivers-1"])


def test_what_is_looked_for_and_opened_is_in_the_address(opened: Open) -> None:
    page = opened()
    page.get_by_label("Outcome").select_option("refused: short_apology")
    page.locator(ROW).click()
    link = page.evaluate("location.hash")
    again = opened(link)
    expect_listed(again, ["table-1"])
    expect(again.locator("#sample h2")).to_contain_text("table-1")


def test_the_browsers_back_button_closes_the_sample(opened: Open) -> None:
    page = opened()
    page.locator("[data-sample='rivers-2']").click()
    page.go_back()
    expect(page.locator("#sample")).to_be_hidden()


def test_a_link_to_a_sample_that_is_not_there_says_so(opened: Open) -> None:
    expect(opened("#sample=nobody").locator("#message")).to_have_text("This page has no sample nobody.")


def test_an_id_can_be_copied(opened: Open) -> None:
    page = opened("#sample=rivers-2")
    page.get_by_role("button", name="Copy rivers-2").click()
    expect(page.locator("#message")).to_have_text("Copied.")
    page.get_by_role("searchbox").focus()
    page.keyboard.press("Control+V")
    expect(page.get_by_role("searchbox")).to_have_value("rivers-2")


@pytest.mark.parametrize("link", ["", "#sample=rivers-2", "#sample=table-1"])
def test_a_narrow_screen_shows_one_view_without_scrolling_sideways(opened: Open, link: str) -> None:
    page = opened(link, width=400)
    for folded in page.locator("#sample summary").all():
        if folded.is_visible():
            folded.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert page.get_by_role("listbox").is_visible() == (link == "")
    assert page.locator("#sample").is_visible() == (link != "")


def test_a_narrow_screen_goes_back_to_the_list_with_a_button(opened: Open) -> None:
    page = opened(width=400)
    page.locator("[data-sample='rivers-2']").click()
    expect(page.get_by_role("listbox")).to_be_hidden()
    page.get_by_role("button", name="Samples").click()
    expect(page.get_by_role("listbox", name="Samples")).to_be_focused()
    expect(page.locator("#sample")).to_be_hidden()


def test_filters_unfold_on_a_narrow_screen(opened: Open) -> None:
    page = opened(width=400)
    expect(page.get_by_label("Generation")).to_be_hidden()
    page.get_by_role("button", name="Filters").click()
    expect(page.get_by_label("Generation")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


def test_hostile_texts_are_shown_and_do_nothing(opened: Open, tmp_path: Path) -> None:
    page = opened(path=made(tmp_path, hostile()))
    page.locator(ROW).nth(1).click()
    for folded in page.locator("#sample summary").all():
        folded.evaluate("summary => summary.parentElement.open = true")
    shown = page.inner_text("#sample")
    assert '<img src=x onerror="alert(2)">{{ 7*7 }}' in shown
    assert "[U+001B][31mred" in shown
    assert "[U+202E]evil" in shown
    assert page.locator("img").count() == 0
    assert {"\x1b", "\u202e", "\u200b", "\x00", "\x07", "\u2066"}.isdisjoint(page.inner_text("body"))
    assert page.evaluate("document.documentElement.scrollWidth") <= 1200


def test_a_hostile_id_can_be_linked_to(opened: Open, tmp_path: Path) -> None:
    path = made(tmp_path, hostile())
    page = opened(path=path)
    page.locator(ROW).nth(1).click()
    again = opened(page.evaluate("location.hash"), path=path)
    expect(again.locator("#sample h2")).to_contain_text("rivers-2</script>")


def test_markup_that_reached_the_page_would_not_run(browser: Browser, example_page: Path) -> None:
    page = browser.new_page()
    page.goto(example_page.as_uri())
    blocked = (
        "markup => { try { document.body.innerHTML = markup; return 'done' } catch (error) { return error.name } }"
    )
    assert page.evaluate(blocked, HOSTILE) == "TypeError"
    page.close()


@pytest.fixture
def opened_large(opened: Open, large_page: Path) -> Page:
    return opened(path=large_page)


def test_the_rows_of_many_samples_are_a_bounded_number(opened_large: Page) -> None:
    expect(opened_large.locator("#count")).to_have_text("20,000 samples")
    box = opened_large.get_by_role("listbox")
    for place in (0, 10_000, 19_990):
        box.evaluate("(box, place) => box.scrollTop = place * 80", place)
        expect(opened_large.locator(f"#row-{place}")).to_be_visible()
        assert opened_large.locator(ROW).count() < 60
    assert opened_large.evaluate("document.querySelectorAll('*').length") < 1_000


def test_a_search_in_many_samples_finds_the_one(opened_large: Page) -> None:
    opened_large.get_by_role("searchbox").fill("needle answered")
    expect(opened_large.locator("#count")).to_have_text("1 of 20,000 samples")
    expect_listed(opened_large, ["s-4321"])


def test_the_end_of_many_samples_is_one_key_away_on_any_screen(opened_large: Page) -> None:
    for width in (1200, 400):
        opened_large.set_viewport_size({"width": width, "height": 800})
        box = opened_large.get_by_role("listbox")
        box.focus()
        last = opened_large.locator(".row.active")
        for key, place in (("Home", "1"), ("End", "20000")):
            opened_large.keyboard.press(key)
            expect(last).to_have_attribute("aria-posinset", place)
        expect(last).to_be_in_viewport()


def test_a_page_without_samples_says_what_to_do(opened: Open, tmp_path: Path) -> None:
    page = opened(path=made(tmp_path, Store()))
    expect(page.get_by_text("No samples yet: materialise expert_responses.")).to_be_visible()


def test_what_was_verified_is_seen(opened: Open) -> None:
    for width in (400, 1200):
        page = opened(width=width)
        expect(page.get_by_text("1,234 rows verified")).to_be_visible()
        expect(page.get_by_text("event log together is out of scope")).to_be_visible()


def test_answers_and_ratings_stand_with_the_answer_and_are_in_the_cost_of_their_sample_alone(
    opened: Open, tmp_path: Path
) -> None:
    page = opened("#sample=rivers-1", made(tmp_path, several()))
    response, edit = (page.locator(f"[data-step='{name}']") for name in ("Response", "Edit 1"))
    expect(response.locator("summary").first).to_contain_text("4 queries")
    expect(edit.locator("summary").first).to_contain_text("2 queries")
    expect(page.locator(".sample-head .figures")).to_contain_text("$0.009")
    page.goto((tmp_path / "explorer.html").as_uri() + "#sample=rivers-2")
    page.reload()
    expect(page.locator(".sample-head .figures")).to_contain_text("$0.0075")
