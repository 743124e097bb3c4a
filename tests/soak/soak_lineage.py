"""Lineage at a million transitions: how long a look-up takes, in the process and as a command. Prints its figures."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import duckdb
import pytest

from teams_dagster.ledger.database import sqlite_url
from teams_dagster.ledger.writer import Ledger
from teams_dagster.lineage.forward import forward_lineage
from teams_dagster.lineage.trace import trace
from teams_dagster.store.artefacts import stored_artefacts
from teams_dagster.store.read_model import refresh
from tests.support.entries import ask

EPISODES = int(os.environ.get("SOAK_EPISODES", "170000"))
STEPS = 6

# Every other edit is accepted; each has a rewrite and a review, each accepted one an answer.
_FILL = f"""
create temp table made as
select
    md5('e' || episode) as episode_id, md5('s' || episode % 5000) as seed_id, step,
    md5('t' || episode || '-' || step) as transition_id, step % 2 = 0 as accepted,
    md5('t' || episode || '-' || (step - step % 2 - if(step % 2 = 0, 2, 0))) as parent,
    ['breadth', 'add_constraints', 'deepening', 'concretizing', 'increase_reasoning_steps', 'complicate_input'][
        (hash(episode * 7 + step) % 6)::int + 1] as operation
from range({EPISODES}) as episodes(episode), range({STEPS}) as steps(step);
insert into transitions by name
select
    transition_id, if(step < 2, null, parent) as parent_transition_id, episode_id, seed_id, 'generate' as purpose,
    '2026-11-02' as partition_key, step, operation, 0.3 as probability, 'trained' as policy, 'p' as policy_version,
    md5(parent || 'text') as parent_id, md5(transition_id || 'text') as instruction_id, 0.5 as reward, accepted,
    2 as queries, md5(transition_id || 'r') as rewrite_request_id, md5(transition_id || 'v') as review_request_id,
    'v' as prompt_version, 'not_equal' as verdict, if(accepted, md5(transition_id || 'sample'), null) as sample_id,
    'run' as run_id
from made;
insert into instructions by name
select instruction_id, repeat('Explain the tides to a sailor. ', 8) as text, '' as input from transitions;
insert into samples by name
select
    sample_id, transition_id, episode_id, step, partition_key, seed_id, instruction_id, 'Explain.' as instruction,
    '' as input, true as accepted, 'Tides.' as response, md5(transition_id || 'a') as respond_request_id,
    'run' as run_id
from transitions where accepted;
insert into sample_hops
select later.sample_id, earlier.step // 2 + 1, earlier.transition_id
from transitions as later join transitions as earlier
    on earlier.episode_id = later.episode_id and earlier.step <= later.step
where later.accepted and earlier.accepted;
insert into seeds by name
select distinct seed_id, md5(seed_id) as instruction_id, 'Explain tides.' as text, '' as input, '' as response, 1 as row
from transitions;
insert into llm_calls by name
select
    request_id, md5(request_id) as request_key, 1 as attempt, 'ok' as status, 'usable' as outcome, 'expert' as role,
    'rewrite' as purpose, 'openai' as provider, 'm' as model, '' as base_url, 'v' as prompt_version, 0 as replica,
    'run' as run_id, 'generated_instructions' as asset_key, transition_id, 100 as prompt_tokens,
    50 as completion_tokens, 1000 as cost_nano_usd, timestamp '2026-11-02' as started_at, 'p' as process
from (
    select transition_id, unnest([rewrite_request_id, review_request_id]) as request_id from transitions
    union all select transition_id, respond_request_id from samples
);
insert into llm_requests by name
select
    md5(request_id || 'use') as use_id, request_key, request_id, false as reused, outcome, role, purpose, provider,
    model, run_id, asset_key, transition_id, started_at as asked_at
from llm_calls;
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lineage")
    url = sqlite_url(folder / "ledger.sqlite")
    with Ledger(url) as ledger:
        ask(ledger, "a")
    refresh(url, stored_artefacts(folder), folder / "teams.duckdb")
    with duckdb.connect(folder / "teams.duckdb") as connection:
        for statement in _FILL.split(";\n"):
            if statement.strip():
                connection.execute(statement)
    return folder


def seconds(work: Callable[[], object], times: int = 7) -> float:
    def once() -> float:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    return median(once() for _ in range(times))


def test_a_million_transitions(store: Path):
    path = store / "teams.duckdb"
    with duckdb.connect(path, read_only=True) as connection:
        count = {
            name: connection.execute(f"select count(*) from {name}").fetchall()[0][0]
            for name in ("transitions", "samples", "llm_calls")
        }
        sample = connection.execute("select sample_id from samples using sample 1 (reservoir, 1)").fetchall()[0][0]
        found = trace(connection, sample)
        assert found.sample_id == sample
        back = seconds(lambda: trace(connection, sample))
        forward = {
            kind: seconds(lambda kind=kind, value=value: forward_lineage(connection, kind, value, most=20), 3)
            for kind, value in (("operation", "deepening"), ("seed", found.seed["seed_id"]), ("policy", "p"))
        }
    print(f"\n{count}; file {path.stat().st_size / 1e6:.0f} MB")
    print(f"one sample {back * 1e3:.0f} ms; forward { ({k: f'{v * 1e3:.0f} ms' for k, v in forward.items()}) }")
    environment = os.environ | {"TEAMS_DATA_DIR": str(store)}
    command = [str(Path(sys.executable).with_name("teams")), "lineage", sample]
    run = lambda: subprocess.run(command, env=environment, check=True, capture_output=True)  # noqa: E731
    run()
    print(f"the command {seconds(run, 5):.2f} s")
