"""The step that trains token by token, a script beside Dagster: killed and gone on with, guided, judged, scored."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow.parquet as pq
import pytest

from assets.rlgf.rlgf_model import rlgf_adapter_answers, rlgf_model
from assets.rlgf.rlgf_scores import rlgf_scores
from teams_dagster.evaluation.rlgf.stored import read_asked
from teams_dagster.evaluation.stored import read_privacy, read_win_rates
from teams_dagster.rlgf.run_request import OWN_ANSWERS
from teams_dagster.store.artefact_store import Artefact, ArtefactStore
from teams_dagster.store.facts.rlgf import RLGFFacts, RLGFScoreFacts
from teams_dagster.student.adapter_config import MODEL, REPORT
from tests.support.checks import checked
from tests.support.layouts import tiny_layout
from tests.support.openai_server import Fault, OpenAIServer
from tests.support.project import Project
from tests.support.served_rules import answer
from tests.support.tuned_student import NANO_USD, QUERIES, random_adapter, tuned_store

pytestmark = pytest.mark.slow

Respond = Callable[[Any], Any]

WEIGHTS = f"{MODEL}/adapter_model.safetensors"
STEP = {"learning_rate": 5e-3, "epochs": 1, "minibatch": 0}
SHORT: dict[str, Any] = {
    "iterations": 6,
    "texts": 4,
    "max_new_tokens": 4,
    "checkpoint_every": 1,
    "weights": {"rank": 2, "alpha": 8},
}
PPO = SHORT | {"algorithm": {"ppo": STEP | {"entropy_weight": 0.5}}}  # no such student writes a good word by chance
GUIDED = SHORT | {"iterations": 2, "algorithm": {"ppo_plus_plus": {"step": STEP}}, "guide": "role"}
JUDGED = SHORT | {
    "iterations": 2,
    "algorithm": {"grpo": {"step": STEP, "group": 2}},
    "task": "dataset_answers",
    "prompts": 3,
    "evaluation_prompts": 2,
}


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a small student, its adapter and a dataset; tests work on copies."""
    root = tmp_path_factory.mktemp("tuned")
    student = tiny_layout("llama", root / "student")
    tuned_store(root / "data", student, random_adapter(student, root / "adapter"))
    return root / "data"


@contextmanager
def copied(tuned: Path, folder: Path) -> Iterator[Project]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TEAMS_DATA_DIR", str(shutil.copytree(tuned, folder)))
        environment.setenv("TEAMS_PREFLIGHT", "off")
        yield Project(folder)


@dataclass(frozen=True)
class Trained:
    """A training that nothing interrupted, and what was said of others."""

    made: Artefact
    again: Artefact
    """What making the same again gave."""
    refusal: str
    """Of a guide that nobody would ask."""


@pytest.fixture(scope="module")
def whole(tuned: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    with copied(tuned, tmp_path_factory.mktemp("whole") / "data") as project:
        assert project.make(rlgf_model, rlgf_model=PPO)
        made = project.store.current("rlgf_model")
        assert project.make(rlgf_model, rlgf_model=PPO)
        again = project.store.current("rlgf_model")
        assert not project.make(rlgf_model, rlgf_model=PPO | {"guide": "role"})
        return Trained(made, again, failure(project))


@dataclass(frozen=True)
class Resumed:
    """The same training, killed and gone on with."""

    made: Artefact
    killed: str
    """What was said when it was killed."""
    said: str
    """What the next run said."""


@pytest.fixture(scope="module")
def resumed(tuned: Path, tmp_path_factory: pytest.TempPathFactory) -> Resumed:
    with copied(tuned, tmp_path_factory.mktemp("killed") / "data") as project:
        killed = killed_once_it_trains(project)
        assert not project.store.exists("rlgf_model")
        assert project.make(rlgf_model, rlgf_model=PPO)
        said = "\n".join(entry.user_message for entry in project.instance.all_logs(project.last.run_id))
        return Resumed(project.store.current("rlgf_model"), killed, said)


def killed_once_it_trains(project: Project) -> str:
    """What the step says of a training that is killed after its first checkpoint."""
    ended = threading.Event()
    killer = threading.Thread(target=_kill, args=(project.store, ended), daemon=True)
    killer.start()
    made = project.make(rlgf_model, rlgf_model=PPO)
    ended.set()
    killer.join()
    assert not made
    return failure(project)


def _kill(store: ArtefactStore, ended: threading.Event) -> None:
    while not ended.wait(0.002):
        if any(store.place("rlgf_model").glob(".*/checkpoints/checkpoint.pt")):
            [lock] = store.place("rlgf_model").glob(".*/.training.lock")
            os.kill(int(lock.read_text()), signal.SIGKILL)
            return


def failure(project: Project) -> str:
    found = project.last.failure_data_for_node("rlgf_model")
    assert found is not None
    assert found.error is not None
    return found.error.to_string()


def test_what_is_left_is_an_adapter_of_the_base_and_its_report(whole: Trained) -> None:
    folder = whole.made.folder
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    files = ["README.md", "adapter_config.json", "adapter_model.safetensors", "recipe.json"]
    assert names == ["manifest.json", *(f"model/{name}" for name in files), "models.parquet", "report.json"]
    [row] = pq.read_table(folder / "models.parquet").to_pylist()
    assert (row["kind"], row["base_version"], row["dataset_version"]) == ("rlgf", "the base", "the dataset")


def test_a_card_lies_beside_the_weights(whole: Trained) -> None:
    card = (whole.made.folder / MODEL / "README.md").read_text()
    assert f"Model version `{whole.made.data_version}`, base version `the base`" in card
    assert "lora_model `the adapter`" in card
    assert f"took {QUERIES} queries" in card


def test_its_facts_say_what_was_learnt_and_that_nobody_was_asked(whole: Trained) -> None:
    facts = whole.made.read_facts(RLGFFacts)
    assert (facts.algorithm, facts.task, facts.guide, facts.judge) == ("ppo", "positive continuation", "none", None)
    assert (facts.iterations, facts.guide_tokens, facts.guide_queries, facts.judge_queries) == (6, 0, 0, 0)
    assert facts.after.kl != 0 == facts.before.kl


def test_the_same_again_is_not_trained_again(whole: Trained) -> None:
    assert whole.again.manifest["made_at"] == whole.made.manifest["made_at"]


def test_a_guide_that_nobody_would_ask_is_refused(whole: Trained) -> None:
    assert "guide is role, and ppo has no guide" in whole.refusal


def test_a_killed_training_says_what_takes_less_memory(resumed: Resumed) -> None:
    assert "TrainingFailed: the training was killed (exit code -9), probably because memory ran out" in resumed.killed
    assert "a smaller at_once" in resumed.killed


def test_the_next_run_goes_on_and_ends_with_the_same_bits(whole: Trained, resumed: Resumed) -> None:
    assert "going on from the last checkpoint of an interrupted training" in resumed.said
    assert resumed.made.path(WEIGHTS).read_bytes() == whole.made.path(WEIGHTS).read_bytes()
    assert resumed.made.path(REPORT).read_bytes() == whole.made.path(REPORT).read_bytes()
    assert resumed.made.data_version == whole.made.data_version


def test_progress_is_told_to_the_run(resumed: Resumed) -> None:
    assert "iteration 6/6: reward" in resumed.said


@dataclass(frozen=True)
class Asked:
    """A training whose endpoint refused its key half way, and that was then gone on with."""

    answers: dg.AssetCheckResult
    """Of the check that the adapter answers."""
    made: Artefact
    scores: Artefact | None
    failure: str
    said: list[str]
    shown: str
    """Everything that the endpoint was asked."""
    uses: set[tuple[str, str]]
    """Role and asset of the queries on the ledger."""
    samples: set[str]
    """What their sample ids begin with."""
    bought: list[tuple[str, str]]
    """Request and query of each answer."""


def asked(
    project: Project,
    server: OpenAIServer,
    settings: dict[str, Any],
    *,
    after: int,
    scored: dict[str, Any] | None = None,
) -> Asked:
    """Asks `server`, whose key expires `after` so many queries and is then renewed."""
    respond = server.respond
    server.respond = refusing_after(after, server, respond)
    assert not project.make(rlgf_model, rlgf_model=settings)
    assert not project.store.exists("rlgf_model")
    failed = failure(project)
    server.faults.clear()
    server.respond = respond
    assert project.make(rlgf_model, rlgf_model=settings)
    said = [entry.user_message for entry in project.instance.all_logs(project.last.run_id)]
    with project.ledger.open() as ledger, ledger.engine.connect() as connection:
        uses = connection.exec_driver_sql("select role, asset_key, sample_id from uses").all()
        bought = connection.exec_driver_sql("select request_id, request_key from answers").all()
    assert scored is None or project.make(rlgf_scores, rlgf_scores=scored)
    answers = checked(rlgf_adapter_answers, project.store)
    return Asked(
        answers=answers,
        made=project.store.current("rlgf_model"),
        scores=None if scored is None else project.store.current("rlgf_scores"),
        failure=failed,
        said=said,
        shown=" ".join(body["messages"][-1]["content"] for body in server.received),
        uses={(role, asset) for role, asset, _ in uses},
        samples={str(sample).partition("-")[0] for *_, sample in uses},
        bought=[(request, key) for request, key in bought],
    )


def refusing_after(count: int, server: OpenAIServer, respond: Respond) -> Respond:
    def answered(body: Any) -> Any:
        if server.count > count:
            server.faults.extend([Fault(status=401)] * 40)
        return respond(body)

    return answered


@contextmanager
def served(tuned: Path, folder: Path, role: str, respond: Respond) -> Iterator[tuple[Project, OpenAIServer]]:
    with OpenAIServer(respond) as server, copied(tuned, folder) as project, pytest.MonkeyPatch.context() as environment:
        for name, value in (("MODEL", f"served-{role}"), ("BASE_URL", server.base_url), ("STRUCTURED", "off")):
            environment.setenv(f"TEAMS_{role.upper()}_{name}", value)
        yield project, server


@pytest.fixture(scope="module")
def guided(tuned: Path, tmp_path_factory: pytest.TempPathFactory) -> Asked:
    folder = tmp_path_factory.mktemp("guided") / "data"
    with served(tuned, folder, "guide", lambda body: "good box") as (project, server):
        return asked(project, server, GUIDED, after=3)


@pytest.fixture(scope="module")
def judged(tuned: Path, tmp_path_factory: pytest.TempPathFactory) -> Asked:
    folder = tmp_path_factory.mktemp("judged") / "data"
    with served(tuned, folder, "judge", answer) as (project, server):
        return asked(project, server, JUDGED, after=8, scored={"questions": 3, "max_new_tokens": 4})


@pytest.mark.parametrize(
    ("asking", "said"), [("guided", "HTTP 401"), ("judged", "JudgeSilent: the judge did not answer")]
)
def test_what_ends_the_asking_ends_the_training_in_its_own_words(
    asking: str, said: str, request: pytest.FixtureRequest
) -> None:
    found: Asked = request.getfixturevalue(asking)
    assert said in found.failure
    assert "TrainingFailed" not in found.failure


@pytest.mark.parametrize("asking", ["guided", "judged"])
def test_nothing_is_bought_twice(asking: str, request: pytest.FixtureRequest) -> None:
    found: Asked = request.getfixturevalue(asking)
    assert len({key for _, key in found.bought}) == len(found.bought) > 0


@pytest.mark.parametrize(("asking", "role"), [("guided", "guide"), ("judged", "judge")])
def test_every_query_is_on_the_ledger_and_in_the_lineage(
    asking: str, role: str, request: pytest.FixtureRequest
) -> None:
    found: Asked = request.getfixturevalue(asking)
    assert found.uses == {(role, "rlgf_model")}
    named, facts = read_asked(found.made.folder)[role], found.made.read_facts(RLGFFacts)
    assert named == {request_id for request_id, _ in found.bought}
    assert {"guide": facts.guide_queries, "judge": facts.judge_queries}[role] == len(named)
    assert facts.requests
    assert facts.cost_nano_usd is None, "nobody published a price of this model"


def test_a_guide_of_the_role_writes_a_part_and_is_named(guided: Asked) -> None:
    facts = guided.made.read_facts(RLGFFacts)
    assert "served-guide" in facts.guide
    assert facts.guide_tokens > 0


def test_an_estimate_comes_before_the_first_text(guided: Asked) -> None:
    estimate = next(place for place, line in enumerate(guided.said) if line.startswith("estimate: "))
    assert "6 queries (0 to 8)" in guided.said[estimate]
    assert estimate < next(place for place, line in enumerate(guided.said) if line.startswith("iteration "))


def test_answers_are_judged_against_those_of_the_adapter_it_starts_from(judged: Asked) -> None:
    facts, start = judged.made.read_facts(RLGFFacts), json.loads(judged.made.path(OWN_ANSWERS).read_text())
    assert (facts.task, len(start)) == ("dataset_answers", 5)
    assert "served-judge" in str(facts.judge)
    assert all(said in judged.shown for said in start.values())
    assert judged.samples == {"sample", "held"}


def test_it_is_loaded_and_asked_like_any_adapter(judged: Asked) -> None:
    assert judged.answers.passed, judged.answers.description


@pytest.fixture
def scores(judged: Asked) -> Artefact:
    assert judged.scores is not None
    return judged.scores


def test_what_it_became_stands_beside_what_it_was_with_what_each_took(scores: Artefact) -> None:
    base, lora, rlgf = scores.read_facts(RLGFScoreFacts).stages
    assert [stage.stage for stage in (base, lora, rlgf)] == ["base", "fine-tuning", "fine-tuning + grpo"]
    assert (base.queries, base.cost_nano_usd) == (0, 0)
    assert (lora.queries, lora.cost_nano_usd) == (QUERIES, NANO_USD)
    assert rlgf.queries > lora.queries
    assert (base.against_base, lora.against_lora) == (None, None)
    assert None not in (lora.against_base, rlgf.against_base, rlgf.against_lora)


def test_only_scores_that_no_other_asset_has_are_written(scores: Artefact) -> None:
    rows = pq.read_table(scores.path("evaluation_scores.parquet")).to_pylist()
    assert {row["model"] for row in rows} == {"rlgf"}
    assert {"heldout_loss", "heldout_loss_vs_lora", "choice_accuracy"} <= {row["metric"] for row in rows}


def test_the_judge_compares_it_with_the_base_and_with_what_it_was(scores: Artefact) -> None:
    rates = {(rate.model, rate.against) for rate in read_win_rates(scores)}
    assert {("rlgf", "base"), ("rlgf", "lora")} <= rates


def test_it_is_audited_like_every_adapter(scores: Artefact) -> None:
    assert {(result.attack, result.model) for result in read_privacy(scores)} >= {("loss", "base"), ("loss", "rlgf")}
