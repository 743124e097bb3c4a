"""The notebook runs on a store as it stands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest

from assets.dataset.expert_responses import expert_responses
from assets.dataset.generated_instructions import generated_instructions
from assets.partitions import GENERATIONS
from assets.policy.policy_comparison import policy_comparison
from assets.policy.trained_policy import trained_policy
from assets.seeds import seed_instructions
from tests.support.commands import ROOT
from tests.support.project import Project

NOTEBOOK = ROOT / "examples" / "explore_a_store.ipynb"
CELLS: list[dict[str, Any]] = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a small project, from seeds to answered instructions."""
    folder = tmp_path_factory.mktemp("project") / "data"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEAMS_DATA_DIR", str(folder))
        project = Project(folder)
        assert project.make(seed_instructions, trained_policy, policy_comparison)
        assert project.make(generated_instructions, expert_responses, week=GENERATIONS.get_last_partition_key())
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


def test_the_notebook_draws_the_account_the_operations_and_the_scores_of_a_store(notebook_folder: Path) -> None:
    run_notebook()
    drawn = [figure.axes[0] for figure in map(plt.figure, plt.get_fignums())]
    assert [axes.get_xlabel() for axes in drawn] == ["queries", "step", "accepted edits per query"]
    assert all(axes.has_data() for axes in drawn)


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
