"""The report and the explorer in a real Chromium: hostile texts are seen, nothing runs, nothing is asked for."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.text import shorten, visible
from teams_dagster.lineage.explorer.page import write_explorer
from teams_dagster.report.content import About, DatasetResults, Report, RoleModel
from teams_dagster.report.page import MOST_CHAINS, render_report
from tests.lineage.explorer.example_store import ABOUT, Store, example
from tests.report.example_report import CHAIN
from tests.support.hostile import TEXTS, controls

CHROMIUM = shutil.which("chromium")
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian package chromium)"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that in the end said nothing, asked for nothing and popped nothing up."""
    page = browser.new_page(viewport={"width": 1200, "height": 800})
    noises: list[str] = []
    page.on("console", lambda message: noises.append(message.text))
    page.on("pageerror", lambda error: noises.append(str(error)))
    page.on("dialog", lambda dialog: noises.append(dialog.message))
    page.on("request", lambda request: noises.append(request.url) if request.url.startswith(("http", "//")) else None)
    yield page
    assert noises == []
    page.close()


def squeezed(text: str) -> str:
    """Without white space, which a page may break anew."""
    return "".join(text.split())


def assert_inert(page: Page) -> None:
    """Nothing that a text brought is an element, a link or a control character."""
    assert page.locator("svg, iframe, object, embed, form, base").count() == 0
    assert page.locator("img:not([src^='data:image/png'])").count() == 0
    assert page.locator("a[href]:not([href^='#']):not([href^='explorer.html'])").count() == 0
    handlers = "[...document.querySelectorAll('*')].filter(e => e.getAttributeNames().some(n => n.startsWith('on')))"
    assert page.evaluate(f"{handlers}.length") == 0
    assert controls(page.inner_text("body")) == set()
    assert page.evaluate("document.documentElement.scrollWidth") <= 1200


def spoilt(names: list[str]) -> Report:
    """A report with a chain for each of these texts, and the first of them everywhere else."""
    chains = tuple(
        replace(
            CHAIN,
            sample_id=TEXTS[name],
            seed=Instruction(TEXTS[name], TEXTS[name]),
            edits=tuple(replace(edit, operation=TEXTS[name], reason=TEXTS[name]) for edit in CHAIN.edits),
            response=TEXTS[name],
        )
        for name in names
    )
    first = TEXTS[names[0]]
    models = (RoleModel(first, first, first),)
    about = About(first, first, generations=(first,), seeds_source=first, models=models, student=first)
    return Report(title=first, about=about, dataset=DatasetResults(chains=chains))


def groups() -> list[list[str]]:
    names = list(TEXTS)
    return [names[at : at + MOST_CHAINS] for at in range(0, len(names), MOST_CHAINS)]


@pytest.mark.parametrize("names", groups(), ids=lambda names: names[0])
def test_the_report_shows_every_text_and_obeys_none(page: Page, names: list[str], tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(render_report(spoilt(names)), encoding="utf-8")
    page.goto(path.as_uri())
    shown = squeezed(page.inner_text("body"))
    assert page.locator("script").count() == 0
    assert_inert(page)
    for name in names:
        assert squeezed(visible(shorten(TEXTS[name], 3_000))) in shown, name


@pytest.fixture(scope="module")
def explorer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The explorer of one sample for each text, which is its seed, its text, its input, its answer and in its id."""
    store = Store()
    for place, text in enumerate(TEXTS.values()):
        store.seed(f"seed-{place}", text, input=text, source=text)
        store.edit(f"e{place}.0", f"seed-{place}", text + " changed", text, operation="deepening", reward=0.5)
        store.sample(f"s{place} {text[:200]}", f"e{place}.0", f"seed-{place}", text)
    folder = tmp_path_factory.mktemp("explorer")
    write_explorer(store.write(folder / "teams.duckdb"), folder / "explorer.html", about=ABOUT)
    return folder / "explorer.html"


@pytest.mark.slow
def test_the_explorer_shows_every_text_and_obeys_none(page: Page, explorer: Path) -> None:
    page.goto(explorer.as_uri())
    expect(page.locator("body.unpacking")).to_have_count(0)
    rows = page.locator("#list [role=option]")
    rows.first.click()
    seen = ""
    for _ in TEXTS:
        for folded in page.locator("#sample details").all():
            folded.evaluate("details => details.open = true")
        seen += squeezed(page.inner_text("#sample"))
        assert_inert(page)
        page.keyboard.press("j")
    for name, text in TEXTS.items():
        assert squeezed(visible(text)) in seen, name


@pytest.mark.slow
def test_a_sample_of_the_report_leads_to_its_chain_in_the_explorer(page: Page, tmp_path: Path) -> None:
    write_explorer(example().write(tmp_path / "teams.duckdb"), tmp_path / "explorer.html", about=ABOUT)
    chains = (replace(CHAIN, sample_id="rivers-2"),)
    (tmp_path / "report.html").write_text(render_report(Report(dataset=DatasetResults(chains=chains))), "utf-8")
    page.goto((tmp_path / "report.html").as_uri())
    page.get_by_role("link", name="rivers-2").click()
    expect(page.locator("#sample h2")).to_contain_text("rivers-2")
