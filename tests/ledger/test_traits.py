"""What was found out about an endpoint."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import sqlalchemy as sa

from teams_dagster.ledger.database import open_database, sqlite_url
from teams_dagster.ledger.traits import (
    ServedRole,
    record_limit,
    record_shared_role,
    record_trait,
    roles_shared,
    traits_of,
)
from tests.support.entries import IDENTITY


def _opened(folder: Path) -> sa.Engine:
    return open_database(sqlite_url(folder / "ledger.sqlite"))


def test_another_process_reads_what_one_found_out(tmp_path: Path) -> None:
    record_trait(_opened(tmp_path), IDENTITY, "structured", "json_schema")
    assert traits_of(_opened(tmp_path), IDENTITY) == {"structured": "json_schema"}


def test_what_was_found_out_first_stands(tmp_path: Path) -> None:
    engine = _opened(tmp_path)
    assert record_trait(engine, IDENTITY, "structured", "json_schema") == "json_schema"
    assert record_trait(engine, IDENTITY, "structured", "off") == "json_schema"


def test_a_trait_is_of_one_model_at_one_address(tmp_path: Path) -> None:
    engine = _opened(tmp_path)
    record_trait(engine, IDENTITY, "structured", "json_schema")
    assert traits_of(engine, replace(IDENTITY, model="another")) == {}
    assert traits_of(engine, replace(IDENTITY, base_url="https://another/v1")) == {}


def test_of_a_limit_the_smallest_stands(tmp_path: Path) -> None:
    engine = _opened(tmp_path)
    stand = [record_limit(engine, IDENTITY, "context_tokens", found) for found in (8192, 4096, 8192)]
    assert stand == [8192, 4096, 4096]
    assert traits_of(engine, IDENTITY) == {"context_tokens": "4096"}


def test_which_roles_a_shared_model_served_is_on_the_ledger(tmp_path: Path) -> None:
    engine = _opened(tmp_path)
    record_trait(engine, IDENTITY, "structured", "json_schema")
    for role in ("expert", "judge", "expert"):
        record_shared_role(engine, IDENTITY, role)
    assert roles_shared(engine) == {
        ServedRole(role, IDENTITY.provider, IDENTITY.model): "TEAMS_MODEL" for role in ("expert", "judge")
    }
