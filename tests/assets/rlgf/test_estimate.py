"""What a token-level training would ask, found out without asking."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from teams_dagster.automation.run_estimate import estimate_run
from teams_dagster.core.protocol import Role
from teams_dagster.settings import load_settings
from teams_dagster.store.artefact_store import ArtefactMissing
from tests.support.tuned_student import tuned_store

JUDGED: dict[str, Any] = {
    "task": "dataset_answers",
    "algorithm": {"grpo": {"group": 2}},
    "iterations": 10,
    "texts": 8,
    "prompts": 4,
    "evaluation_prompts": 3,
}


@pytest.fixture
def tuned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with an adapter and its dataset; nobody loads its weights."""
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "config.json").write_text("{}")
    tuned_store(tmp_path / "data", weights, weights)
    monkeypatch.setenv("TEAMS_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


def asked(**config: Any) -> tuple[int, tuple[Role, ...]]:
    found = estimate_run(load_settings(), "2026-11-02", {"rlgf_model": config}, ("rlgf_model",))
    [(key, each, reused)] = found.steps
    assert (key, reused) == ("rlgf_model", False)
    return each.queries.most, found.roles


@pytest.mark.usefixtures("tuned")
@pytest.mark.parametrize(
    ("config", "most", "roles"),
    [
        (JUDGED, 2 * (10 * 8 + 2 * 3), (Role.JUDGE,)),
        (JUDGED | {"algorithm": {"online_dpo": {}}}, 2 * (10 * 4 + 2 * 3), (Role.JUDGE,)),
        ({"algorithm": {"aggrevated": {}}, "guide": "role", "iterations": 3, "texts": 4}, 12, (Role.GUIDE,)),
        ({"iterations": 3, "texts": 4}, 0, ()),
    ],
    ids=["judge", "judge of pairs", "guide", "nobody"],
)
def test_it_says_what_guide_and_judge_would_be_asked(
    config: dict[str, Any], most: int, roles: tuple[Role, ...]
) -> None:
    assert asked(**config) == (most, roles)


def test_without_an_adapter_it_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAMS_DATA_DIR", str(tmp_path / "data"))
    with pytest.raises(ArtefactMissing, match="lora_model"):
        asked()
