"""The page as a person sees it: in a real headless Chromium, from disk, without a network."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from teams_dagster.report.content import Report
from teams_dagster.report.page import render_report
from tests.report.example_report import EXAMPLE, hostile

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


def opened(browser: Browser, folder: Path, report: Report, width: int) -> tuple[Page, list[str]]:
    """The page at a screen width, and everything that it said, asked for or popped up."""
    path = folder / "report.html"
    path.write_text(render_report(report), encoding="utf-8")
    page = browser.new_page(viewport={"width": width, "height": 900})
    noises: list[str] = []
    page.on("console", lambda message: noises.append(message.text))
    page.on("dialog", lambda dialog: noises.append(dialog.message))
    page.on("request", lambda request: noises.append(request.url) if request.url.startswith("http") else None)
    page.goto(path.as_uri())
    return page, noises


@pytest.mark.parametrize("width", [400, 1200])
def test_the_page_fits_its_screen_and_asks_the_network_for_nothing(browser: Browser, tmp_path: Path, width: int):
    page, noises = opened(browser, tmp_path, EXAMPLE, width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("img").count() >= 8
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert noises == []


def test_hostile_texts_are_shown_and_do_nothing(browser: Browser, tmp_path: Path):
    page, noises = opened(browser, tmp_path, hostile(EXAMPLE), 1200)
    assert page.locator("script").count() == 0
    assert "<script" in page.inner_text("body")
    assert noises == []
