"""The page as a person sees it: in a real headless Chromium, from disk, without a network."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.report.example_report import example_page, hostile_example_page

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


def opened(browser: Browser, folder: Path, html: str, width: int) -> tuple[Page, list[str]]:
    """The page at a screen width, and everything that it said, asked for or popped up."""
    path = folder / "report.html"
    path.write_text(html, encoding="utf-8")
    page = browser.new_page(viewport={"width": width, "height": 900})
    noises: list[str] = []
    page.on("console", lambda message: noises.append(message.text))
    page.on("dialog", lambda dialog: noises.append(dialog.message))
    page.on("request", lambda request: noises.append(request.url) if request.url.startswith("http") else None)
    page.goto(path.as_uri())
    return page, noises


@pytest.mark.parametrize("width", [400, 1200])
def test_the_page_fits_its_screen_and_asks_the_network_for_nothing(browser: Browser, tmp_path: Path, width: int):
    page, noises = opened(browser, tmp_path, example_page(), width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("img").count() >= 8
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert noises == []


@pytest.mark.parametrize("width", [400, 1200])
def test_every_table_and_picture_can_be_seen_whole(browser: Browser, tmp_path: Path, width: int):
    """What is wider than the screen scrolls by itself; on a wide screen nothing has to. No cell overlaps another."""
    page, _ = opened(browser, tmp_path, example_page(), width)
    page.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    wide = page.evaluate(
        "[...document.querySelectorAll('.scroll')].filter(box => box.scrollWidth > box.clientWidth).length"
    )
    assert (wide == 0) == (width == 1200)
    clipped = "[...document.querySelectorAll('td, th')].filter(cell => cell.scrollWidth > cell.clientWidth + 1).length"
    assert page.evaluate(clipped) == 0


def test_the_names_of_policies_stay_while_their_table_scrolls(browser: Browser, tmp_path: Path):
    page, _ = opened(browser, tmp_path, example_page(), 400)
    table = page.get_by_role("region", name="Policies", exact=True)
    before = table.locator("th[scope=row]").first.bounding_box()
    table.evaluate("box => box.scrollLeft = 300")
    assert table.evaluate("box => box.scrollLeft") == 300
    assert table.locator("th[scope=row]").first.bounding_box() == before


@pytest.mark.slow
def test_all_scores_are_shown_on_demand(browser: Browser, tmp_path: Path):
    page, _ = opened(browser, tmp_path, example_page(), 1200)
    scores = page.get_by_role("region", name="Scores of the policies")
    assert not scores.is_visible()
    page.get_by_text("All scores").click()
    assert scores.is_visible()


@pytest.mark.slow
def test_hostile_texts_are_shown_and_do_nothing(browser: Browser, tmp_path: Path):
    page, noises = opened(browser, tmp_path, hostile_example_page(), 1200)
    assert page.locator("script").count() == 0
    assert "<script" in page.inner_text("body")
    assert noises == []
