"""The notebook runs on a store as it stands."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest

from assets.policy.policy_comparison import policy_comparison
from tests.support.commands import ROOT
from tests.support.project import Project
from tests.support.stores import dataset_store

NOTEBOOK = ROOT / "examples" / "explore_a_store.ipynb"
CELLS: list[dict[str, Any]] = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a small project, from seeds to a dataset, with a comparison."""
    folder = Path(shutil.copytree(dataset_store(tmp_path_factory), tmp_path_factory.mktemp("project") / "data"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEAMS_DATA_DIR", str(folder))
        project = Project(folder)
        assert project.make(policy_comparison)
        project.ledger.refresh(project.instance)
    return folder


@pytest.fixture
def notebook_folder(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder beside the data folder, as `examples/` is; figures are closed at the end."""
    (tmp_path / "data").symlink_to(data)
    (tmp_path / "examples").mkdir()
    monkeypatch.chdir(tmp_path / "examples")
    plt.switch_backend("agg")
    yield tmp_path / "examples"
    plt.close("all")


def run_notebook() -> dict[str, Any]:
    """Run the code cells from top to bottom, as a kernel does. Returns the names they leave."""
    names: dict[str, Any] = {}
    for cell in CELLS:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), f"{NOTEBOOK.name}:{cell['id']}", "exec"), names)
    return names


@pytest.mark.slow
def test_the_notebook_draws_the_account_the_operations_and_the_scores_of_a_store(notebook_folder: Path) -> None:
    run_notebook()
    drawn = [figure.axes[0] for figure in map(plt.figure, plt.get_fignums())]
    assert [axes.get_xlabel() for axes in drawn] == ["queries", "step", "accepted edits per query"]
    assert all(axes.has_data() for axes in drawn)


@pytest.mark.slow
def test_the_notebook_traces_a_sample_back_to_its_seed(
    notebook_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lineage = run_notebook()["lineage"]
    told = capsys.readouterr().out
    assert lineage.chain[0].text_before == lineage.seed["text"]
    assert told.startswith(f"seed: {lineage.seed['text']}")
    assert lineage.chain[-1].text_after in told


def test_the_notebook_is_kept_without_outputs() -> None:
    assert [cell["id"] for cell in CELLS if cell.get("outputs") or cell.get("execution_count")] == []
