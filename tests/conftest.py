"""What tests of several folders share."""

from __future__ import annotations

import os
import pickle
import shutil
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from resources.language_models.llama_server import LlamaServer
from teams_dagster.instructions.prompts import use_prompts
from teams_dagster.weights import models_folder
from tests.support.commands import ROOT
from tests.support.once import filled_once
from tests.support.openai_server import OpenAIServer
from tests.support.properties import load_profiles

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem
    from playwright.sync_api import Browser

    from teams_dagster.student.base import BaseReport

QUIET = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")
"""Chromium asks the network for nothing by itself."""

os.environ.setdefault("OMP_NUM_THREADS", "1")
"""Tests run side by side: a second thread of each would busily wait for a processor that another test has."""

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
"""Tests start many processes: what one has compiled, the next ones read."""

IN_MEMORY, LEAST_ROOM = Path("/dev/shm"), 8 << 30
"""Where tests keep their files, if so many bytes are free there: what is stored is durable, so on a disk tests wait for
it."""

NOT_FAST = {
    *("assets", "benchmarks", "cli", "docs", "examples", "hostile", "soak", "student"),
    *("dataset/quality", "evaluation/harness", "evaluation/membership", "lineage/explorer", "policy/comparison"),
    *("dataset/test_croissant.py", "dataset/test_provenance.py", "ledger/test_claims.py", "ledger/test_postgresql.py"),
    *("automation/test_running_safely.py", "automation/test_weeks.py", "lineage/test_trace.py"),
    *("llm/test_batching.py", "llm/test_engine_bounds.py"),
    *(
        "llm/test_exactly_once.py",
        "llm/test_processes.py",
        "llm/test_workers.py",
        "llm/test_real_server.py",
        "policy/test_controls.py",
    ),
    *("policy/test_training.py", "policy/algorithms/test_chain.py", "preflight/test_record.py"),
    *("report/test_dataset_results.py", "report/test_page.py", "report/test_pictures.py"),
    *("resources/language_models/test_openai_batches.py", "store/test_backup.py", "store/test_comparing.py"),
    *("store/test_integrity.py", "store/test_kept_ledger.py", "store/test_read_model.py", "store/test_shared.py"),
    *("rlgf/test_against_trl.py", "rlgf/test_chain.py", "test_extension.py", "test_secrets.py", "test_weights.py"),
}
"""What `--fast` leaves out, below this folder: whole lines, processes that are killed, students, commands, pages, and
other files that take longest."""

NOT_FAST_FIXTURES = {"base", "base_report", "browser", "small_models", "smollm2_server"}
"""What `--fast` leaves out wherever it is: real weights, trained students, a browser."""

load_profiles()  # before test modules are imported: settings are read when a property is defined


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--fast`: what is worth running after each edit (`make test-fast`)."""
    parser.addoption("--fast", action="store_true", help="Leave out whole lines, processes, real weights, browsers.")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With `--fast` not even imported."""
    tests = Path(__file__).parent
    if not config.getoption("--fast") or not collection_path.is_relative_to(tests):
        return None
    return collection_path.relative_to(tests).as_posix() in NOT_FAST or None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With `--fast` not run."""
    if config.getoption("--fast"):
        left_out = [item for item in items if _is_slow(item)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not _is_slow(item)]


def _is_slow(item: pytest.Item) -> bool:
    asked_for = getattr(item, "fixturenames", ())
    return not NOT_FAST_FIXTURES.isdisjoint(asked_for) or any(item.iter_markers("browser"))


def pytest_configure(config: pytest.Config) -> None:
    """What a library's log handler closes when Dagster sets up logging must not be what pytest captures with."""
    logging = pytest.importorskip("absl.logging")
    logging.get_absl_handler().python_handler.stream = sys.__stderr__
    if config.option.basetemp is None and _has_room(IN_MEMORY):
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(IN_MEMORY))


def _has_room(folder: Path) -> bool:
    """Whether tests can keep their files there, and run programs that they put there."""
    if not folder.is_dir() or not os.access(folder, os.W_OK) or os.statvfs(folder).f_flag & os.ST_NOEXEC:
        return False
    return shutil.disk_usage(folder).free >= LEAST_ROOM


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where everything a test needs is installed (`EVERY_TEST_RUNS=1`), a skipped test is a failed one."""
    report = yield
    if report.skipped and os.environ.get("EVERY_TEST_RUNS"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped: {report.longrepr}"
    return report


@pytest.fixture(autouse=True)
def _no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tests do not depend on what the person who runs them has configured, nor on prompts of an earlier test."""
    for name in [name for name in os.environ if name.startswith("TEAMS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("TEAMS_PREFLIGHT", "off")  # servers count what is asked of them: tests of the preflight set it
    yield
    use_prompts(None)


@pytest.fixture
def openai_server() -> Iterator[OpenAIServer]:
    """A server speaking the OpenAI protocol on a free loopback port."""
    with OpenAIServer() as server:
        yield server


@pytest.fixture(scope="session")
def base_report(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, BaseReport]:
    """An embedded student with real weights, made once: a few updates are enough for everything but its quality."""
    from teams_dagster.student.base import build_embedded_base

    def build(folder: Path) -> None:
        report = build_embedded_base(folder / "model", seed=0, steps=20)
        (folder / "report.pickle").write_bytes(pickle.dumps(report))

    folder = filled_once(tmp_path_factory, "base", build)
    return folder / "model", pickle.loads((folder / "report.pickle").read_bytes())


@pytest.fixture(scope="session")
def base(base_report: tuple[Path, BaseReport]) -> Path:
    """Its folder."""
    return base_report[0]


@pytest.fixture(scope="session")
def small_models() -> Path:
    """The folder of the small real models; without them tests are skipped."""
    folder = models_folder(ROOT)
    if not folder.is_dir():
        pytest.skip("the small models are not made (make models)")
    return folder


@pytest.fixture(scope="session")
def smollm2_server(small_models: Path) -> Iterator[LlamaServer]:
    """SmolLM2 behind llama.cpp's OpenAI server."""
    with LlamaServer(small_models / "smollm2.gguf") as server:
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, as installed, for the tests of a file; without it they are skipped."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("Chromium is not installed (Debian package chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(QUIET))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """The address of a server that speaks S3."""
    from tests.support.object_storage import serving

    with serving() as address:
        yield address


@pytest.fixture
def storage(s3: str, monkeypatch: pytest.MonkeyPatch) -> AbstractFileSystem:
    """An empty bucket, which the environment names."""
    from tests.support.object_storage import credentials, empty_bucket

    for name, value in credentials(s3).items():
        monkeypatch.setenv(name, value)
    return empty_bucket(s3)
