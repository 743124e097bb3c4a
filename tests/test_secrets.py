"""A key, or the ledger's password, is in no byte that is written: databases, Dagster's history, logs, artefacts.

The whole line's folder is searched in `tests/assets/test_line.py`; here are the ways in which servers give keys back.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import json
import sqlite3
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import dagster as dg
import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aiohttp import web

from resources.language_models.openai_compatible import OpenAICompatibleModel
from teams_dagster.core.protocol import CompletionError
from teams_dagster.definitions import definitions
from teams_dagster.instructions.seeds import shipped_seeds_path
from teams_dagster.settings import find_root, load_settings
from tests.support import postgres
from tests.support.openai_server import Body, OpenAIServer
from tests.support.questions import question
from tests.support.secrets import planted, traces

ROLES = ("EXPERT", "REVIEWER", "INSTRUCTOR", "GUIDE", "JUDGE")
KEYS = {role: planted(role) for role in ROLES}
PASSWORD = "planted-password-0123456789"

Echo = Callable[[str], web.Response]
"""What a server makes of the key that it was sent."""


class EchoingServer(OpenAIServer):
    """Gives the key back, in a response of the test's choice."""

    def __init__(self, echo: Echo) -> None:
        super().__init__()
        self._echo = echo

    async def _answer(self, request: web.Request, body: Body) -> web.StreamResponse:
        return self._echo(self.headers[-1]["Authorization"].removeprefix("Bearer "))


def refusal(key: str) -> web.Response:
    error = {
        "message": f"Incorrect API key provided: {key}",
        "type": "invalid_request_error",
        "code": "invalid_api_key",
    }
    return web.json_response({"error": error}, status=401, headers={"X-Echo": key, "WWW-Authenticate": f"Bearer {key}"})


def refusal_with_slashes_escaped(key: str) -> web.Response:
    body = json.dumps({"error": {"message": f"no such key: {key}"}}).replace("/", "\\/")
    return web.Response(text=body, status=401, content_type="application/json")


def rejection(key: str) -> web.Response:
    return web.json_response({"error": {"message": f"{'.' * 980}{key}", "headers": {"authorization": key}}}, status=400)


def redirect(key: str) -> web.Response:
    return web.Response(status=307, headers={"Location": f"https://elsewhere.example/login?key={key}"})


def page(key: str) -> web.Response:
    return web.Response(text=f"<html>You are {key}</html>", content_type="text/html")


def no_completion(key: str) -> web.Response:
    return web.json_response({"choices": [], "debug": {"authorization": key}})


def completion(key: str) -> web.Response:
    return web.json_response(_completion(key))


def completion_with_slashes_escaped(key: str) -> web.Response:
    return web.Response(text=json.dumps(_completion(key)).replace("/", "\\/"), content_type="application/json")


def _completion(key: str) -> Body:
    message = {"role": "assistant", "content": f"You sent {key}, did you not?"}
    choice = {"index": 0, "message": message, "finish_reason": f"stop {key}"}
    return {"id": key, "object": "chat.completion", "created": 1, "model": key, "choices": [choice], "usage": {key: 1}}


ECHOES = (
    refusal,
    refusal_with_slashes_escaped,
    rejection,
    redirect,
    page,
    no_completion,
    completion,
    completion_with_slashes_escaped,
)


@dataclass
class World:
    """A data folder with Dagster's home in it."""

    data: Path

    def train(self) -> bool:
        """Whether reading seeds and training a policy succeeded."""
        job = definitions(load_settings(find_root())).resolve_job_def("train_policy")
        with dg.DagsterInstance.local_temp(str(self.data / "dagster")) as instance:
            result = job.execute_in_process(
                instance=instance,
                asset_selection=[dg.AssetKey("seed_instructions"), dg.AssetKey("trained_policy")],
                run_config={"ops": {"trained_policy": {"config": {"iterations": 1, "episodes_per_iteration": 32}}}},
                raise_on_error=False,
            )
        return result.success


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    data = tmp_path / "data"
    (data / "dagster").mkdir(parents=True)
    seeds = shipped_seeds_path().read_text(encoding="utf-8").splitlines()[:40]
    (data / "seeds.jsonl").write_text("\n".join(seeds), encoding="utf-8")
    monkeypatch.setenv("TEAMS_DATA_DIR", str(data))
    monkeypatch.setenv("TEAMS_SEEDS", str(data / "seeds.jsonl"))
    return World(data)


def serve_every_role(monkeypatch: pytest.MonkeyPatch, base_url: str) -> None:
    for role, key in KEYS.items():
        monkeypatch.setenv(f"TEAMS_{role}_MODEL", f"served-{role.lower()}")
        monkeypatch.setenv(f"TEAMS_{role}_BASE_URL", base_url)
        monkeypatch.setenv(f"TEAMS_{role}_STRUCTURED", "off")
        monkeypatch.setenv(f"TEAMS_{role}_API_KEY", key)


@pytest.mark.slow
@pytest.mark.parametrize("echo", [refusal, completion_with_slashes_escaped], ids=lambda echo: echo.__name__)
def test_a_key_that_a_server_gives_back_is_written_nowhere(
    echo: Echo, world: World, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with EchoingServer(echo) as server:
        serve_every_role(monkeypatch, server.base_url)
        world.train()
        assert server.headers[0]["Authorization"] == f"Bearer {KEYS['INSTRUCTOR']}"
    with contextlib.closing(sqlite3.connect(world.data / "ledger.sqlite")) as ledger:
        said = "select error_detail as said from results union select text from answers"
        assert ledger.execute(f"select count(*) > 0 from ({said}) where said like '%***%'").fetchone() == (1,)
    (world.data / "terminal.txt").write_text("".join(capfd.readouterr()))
    assert list(world.data.rglob("*.err"))
    assert list(world.data.rglob("*.duckdb"))
    assert traces(world.data, KEYS.values()) == []


@pytest.mark.parametrize("echo", ECHOES, ids=lambda echo: echo.__name__)
def test_what_an_exchange_brings_or_raises_shows_no_key(echo: Echo, tmp_path: Path) -> None:
    async def exchange(base_url: str) -> str:
        model = OpenAICompatibleModel("m", base_url=base_url, api_key=KEYS["EXPERT"])
        try:
            return repr(await model.complete(question()))
        except CompletionError as error:
            return f"{error!r} {error.detail} {''.join(traceback.format_exception(error))}"
        finally:
            await model.close()

    with EchoingServer(echo) as server:
        (tmp_path / "shown.txt").write_text(asyncio.run(exchange(server.base_url)))
    assert traces(tmp_path, KEYS.values()) == []


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.skipif(postgres.programs() is None, reason="no PostgreSQL server (Debian: apt install postgresql)")
def test_the_ledgers_password_is_written_nowhere(
    world: World, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with postgres.cluster() as address:
        monkeypatch.setenv("TEAMS_LEDGER_URL", address.replace("teams@", f"teams:{PASSWORD}@"))
        assert world.train()
    assert not world.train(), "the server is gone"
    (world.data / "terminal.txt").write_text("".join(capfd.readouterr()))
    assert traces(world.data, [PASSWORD]) == []


def test_a_ledger_that_cannot_be_reached_is_named_without_its_password(
    world: World, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TEAMS_LEDGER_URL", f"postgresql://teams:{PASSWORD}@127.0.0.1:9/ledger")
    assert not world.train()
    said = "".join(capfd.readouterr())
    assert "postgresql" in said
    (world.data / "terminal.txt").write_text(said)
    assert traces(world.data, [PASSWORD]) == []


def test_a_secret_is_found_in_whatever_holds_it(tmp_path: Path) -> None:
    """Otherwise finding nothing would mean nothing."""
    key = KEYS["EXPERT"]
    said = f"Bearer {key}."
    for name, text in (
        ("plain", said),
        ("json", json.dumps(said)),
        ("slashes", json.dumps(said).replace("/", "\\/")),
        ("url", quote(said)),
        *((f"base64 {size}", base64.b64encode(b"-" * size + said.encode()).decode()) for size in range(3)),
    ):
        (tmp_path / name).write_text(text)
    (tmp_path / "gzip").write_bytes(gzip.compress(said.encode()))
    pq.write_table(pa.table({"said": [said] * 3}), tmp_path / "parquet")
    with duckdb.connect(tmp_path / "duckdb") as connection:
        connection.execute("create table told as select ? as said", [said])
    with contextlib.closing(sqlite3.connect(tmp_path / "sqlite")) as connection:
        connection.execute("create table told (said text)")
        connection.execute("insert into told values (?)", [said])
        connection.commit()
    found = {trace.rpartition(" (")[0] for trace in traces(tmp_path, [key])}
    assert found == {path.name for path in tmp_path.iterdir()}
    assert traces(tmp_path, [KEYS["JUDGE"]]) == []
