"""The report shows what there is: a dataset needs no policy, and nothing needs policies to be compared."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from assets.accounting.query_costs import query_costs
from assets.accounting.report import report
from assets.accounting.sample_lineage import sample_lineage
from assets.dataset.expert_responses import expert_responses
from assets.dataset.generated_instructions import generated_instructions
from assets.dataset.instruction_dataset import instruction_dataset
from assets.dataset.pair_scores import pair_scores
from assets.policy.trained_policy import trained_policy
from assets.seeds import seed_instructions
from tests.support.project import Project
from tests.support.stores import WEEK

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A dataset whose generation was steered by uniform, and nothing else."""
    folder = tmp_path_factory.mktemp("untrained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEAMS_DATA_DIR", str(folder))
        project = Project(folder)
        assert project.make(seed_instructions)
        generation = (generated_instructions, expert_responses, pair_scores)
        assert project.make(*generation, week=WEEK, generated_instructions={"policy": "uniform", "seeds": 40})
        assert project.make(instruction_dataset, query_costs, sample_lineage)
        yield project


@pytest.fixture
def project(made: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("TEAMS_DATA_DIR", made.store.data_dir)
    return made


def page_of(project: Project) -> str:
    assert project.make(report)
    return project.store.current("report").path("report.html").read_text(encoding="utf-8")


def test_what_was_never_made_is_left_out_and_named(project: Project) -> None:
    page = page_of(project)

    never_made = ("trained_policy", "lora_model", "evaluation_scores", "judged_win_rate", "privacy_audit")
    assert [name for name in never_made if f"Nothing to show yet: materialise <code>{name}</code>" not in page] == []
    assert "the figures of the trained policy do not say" not in page


def test_a_policy_that_was_never_compared_is_shown_without_scores(project: Project) -> None:
    assert project.make(trained_policy)

    page = page_of(project)

    assert "Nothing to show yet: materialise <code>policy_comparison</code>" in page
    assert "Nothing to show yet: materialise <code>trained_policy</code>" not in page
