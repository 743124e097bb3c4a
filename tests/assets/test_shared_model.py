"""A model that serves every role that names none: which roles those were stays on the ledger."""

from __future__ import annotations

from pathlib import Path

import pytest

from assets.dataset.generated_instructions import generated_instructions
from assets.seeds import seed_instructions
from teams_dagster.ledger.traits import ServedRole, roles_shared
from tests.support.openai_server import OpenAIServer
from tests.support.project import Project
from tests.support.served_rules import answer


def test_the_ledger_says_which_roles_the_shared_model_served(
    tmp_path: Path, openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    openai_server.respond = answer
    for name, value in {
        "DATA_DIR": str(tmp_path),
        "MODEL": "m",
        "BASE_URL": openai_server.base_url,
        "EXPERT_STRUCTURED": "off",
        "REVIEWER_PROVIDER": "offline",
    }.items():
        monkeypatch.setenv(f"TEAMS_{name}", value)
    project = Project(tmp_path)
    assert project.make(seed_instructions)
    settings = {"policy": "uniform", "seeds": 3}
    assert project.make(generated_instructions, week="2026-11-02", generated_instructions=settings)
    with project.ledger.open() as ledger:
        served = roles_shared(ledger.engine)
    assert served[ServedRole("expert", "openai", "m")] == "TEAMS_MODEL"
    assert {role.model for role in served} == {"m"}
