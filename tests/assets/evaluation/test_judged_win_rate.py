"""The judged win rate on real models, by the rules in this process and by a judge behind real HTTP."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow.parquet as pq
import pytest
import torch
from peft import LoraConfig, get_peft_model

from assets.evaluation.checks import judge_agrees_with_itself
from assets.evaluation.judged_win_rate import judged_win_rate
from teams_dagster.automation.run_estimate import estimate_run
from teams_dagster.core.instruction import Instruction
from teams_dagster.dataset.export import export_dataset
from teams_dagster.dataset.sample import Example
from teams_dagster.evaluation import judged_answers, student_answers
from teams_dagster.evaluation.stored import read_win_rates
from teams_dagster.settings import load_settings
from teams_dagster.store.artefact_store import Artefact
from teams_dagster.store.facts.evaluation import WinRateFacts
from teams_dagster.student import answering
from teams_dagster.student.chat import template_version
from teams_dagster.student.loading import Recipe, load_student
from teams_dagster.student.stored import ADAPTERS
from tests.support.openai_server import Body, Fault, OpenAIServer, Reply
from tests.support.processes import children
from tests.support.project import Project
from tests.support.served_rules import answer

QUESTIONS = 6
CONFIG: dict[str, Any] = {"questions": QUESTIONS, "max_new_tokens": 8}
EVERY_QUESTION = 2 * QUESTIONS * len(ADAPTERS)
INSTRUCTION = re.compile(r"<instruction \w+>\n(.*?)\n", re.DOTALL)
EXAMPLES = [
    Example(f"sample-{i}", f"seed-{i % 5}", Instruction(f"Which colour is box {i}?"), f"Box {i} is red.")
    for i in range(8)
]

FACTS: dict[str, Any] = {
    "samples": 17,
    "examples": {"train": 8, "validation": 1, "held_out": 8},
    "seeds": {"train": 5, "validation": 1, "held_out": 5},
    "dropped": {},
    "generations": ["2026-11-02"],
}


@pytest.fixture(scope="module")
def adapters(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Adapters that nobody trained: large and random, so that no two models answer alike."""
    return {kind: random_adapter(base, kind, tmp_path_factory.mktemp(kind)) for kind in ADAPTERS}


def random_adapter(base: Path, kind: str, folder: Path) -> Path:
    student = load_student(base)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(ADAPTERS.index(kind))
        config = LoraConfig(r=8, lora_alpha=64, target_modules="all-linear", init_lora_weights=False)
        get_peft_model(student.model, config).save_pretrained(str(folder))
    Recipe(kind, student.template, template_version(student.tokenizer), 512).save(folder)
    return folder


@pytest.fixture
def project(base: Path, adapters: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("TEAMS_DATA_DIR", str(tmp_path))
    made = Project(tmp_path)
    for name, folder in {"base": base, **adapters}.items():
        put(made, name, folder, name)
    with made.store.writing("instruction_dataset", "one", about=about()) as draft:
        export_dataset(draft.folder / "files", {"train": EXAMPLES, "validation": EXAMPLES[:1], "held_out": EXAMPLES})
        draft.finish("the dataset", FACTS)
    return made


def about() -> dict[str, Any]:
    return {"inputs": {}, "made_at": "2026-11-02T00:00:00"}


def put(project: Project, name: str, folder: Path, version: str) -> None:
    """A model as its asset would have left it."""
    with project.store.writing(f"{name}_model", version, about=about()) as draft:
        shutil.copytree(folder, draft.folder / "model")
        draft.finish(version, {"student": "embedded", "embedded": True})


@dataclass
class Judge:
    """A server that judges by the rules, and falls ill on demand."""

    server: OpenAIServer

    @property
    def asked(self) -> Counter[str]:
        """Requests received, by what they ask."""
        return Counter(body["messages"][1]["content"] for body in self.server.received)


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> Iterator[Judge]:
    with OpenAIServer(answer) as server:
        monkeypatch.setenv("TEAMS_JUDGE_MODEL", "served-judge")
        monkeypatch.setenv("TEAMS_JUDGE_BASE_URL", server.base_url)
        monkeypatch.setenv("TEAMS_JUDGE_STRUCTURED", "off")
        yield Judge(server)


def make(project: Project, **config: Any) -> bool:
    return project.make(judged_win_rate, judged_win_rate=CONFIG | config)


def made(project: Project) -> Artefact:
    return project.store.current("judged_win_rate")


def rows(project: Project, table: str) -> list[dict[str, Any]]:
    return pq.read_table(made(project).path(f"{table}.parquet")).to_pylist()


def check(project: Project) -> dg.AssetCheckResult:
    result = judge_agrees_with_itself(store=project.store)
    assert isinstance(result, dg.AssetCheckResult)
    return result


@pytest.mark.slow
def test_by_the_rules_every_model_answers_and_every_pair_is_judged_in_both_orders(project: Project) -> None:
    assert make(project)
    answered = Counter(row["model"] for row in rows(project, "student_answers"))
    assert answered == dict.fromkeys(("base", *ADAPTERS), QUESTIONS)
    judged = Counter((row["model"], row["first"]) for row in rows(project, "judgements"))
    assert judged == {(name, first): QUESTIONS for name in ADAPTERS for first in (name, "base")}
    rates = read_win_rates(made(project))
    assert [(rate.model, rate.pairs, rate.unclear, rate.contradictory) for rate in rates] == [
        (name, QUESTIONS, 0, 0) for name in ADAPTERS
    ]
    assert check(project).passed
    metadata = project.last.asset_materializations_for_node("judged_win_rate")[0].metadata
    assert {"lora_win_rate", "qlora_length_controlled", "win_rates", "picture"} <= metadata.keys()


@pytest.mark.slow
def test_questions_come_from_different_seeds_first(project: Project) -> None:
    assert make(project, questions=5)
    assert {row["seed_id"] for row in rows(project, "student_answers")} == {f"seed-{i}" for i in range(5)}


def test_every_question_is_on_the_ledger_by_the_judge(project: Project, judge: Judge) -> None:
    assert make(project)
    with project.ledger.open() as ledger, ledger.engine.connect() as connection:
        found = connection.exec_driver_sql("select role, purpose, asset_key, count(*) from attempts group by 1, 2, 3")
        [(role, purpose, asset_key, calls)] = found.all()
    assert (role, purpose, asset_key) == ("judge", "judge", "judged_win_rate")
    assert calls == judge.server.count == len(judge.asked)
    named = {row["judge_request_id"] for row in rows(project, "judgements")}
    assert len(named) == calls
    assert {body["temperature"] for body in judge.server.received} == {0}


@pytest.mark.slow
def test_processes_that_judge_beside_the_steps_own_find_what_it_finds(
    project: Project, judge: Judge, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path_factory.mktemp("divided") / "data"
    shutil.copytree(project.store.root, data)
    assert make(project)
    alone, asked = made(project).data_version, judge.server.count
    beside: set[int] = set()

    def noting(body: Body) -> Reply | Fault | str:
        beside.update(children("teams_dagster.llm.workers"))
        return answer(body)

    judge.server.respond = noting
    monkeypatch.setenv("TEAMS_DATA_DIR", str(data))
    monkeypatch.setenv("TEAMS_WORKERS", "3")
    divided = Project(data)
    assert make(divided)
    assert beside
    assert made(divided).data_version == alone
    assert judge.server.count - asked == divided.calls == asked


@pytest.mark.slow
def test_the_same_again_asks_and_answers_nothing(project: Project, judge: Judge) -> None:
    assert make(project)
    asked, version = judge.server.count, made(project).data_version
    assert make(project)
    assert make(project, force=True)
    assert (judge.server.count, made(project).data_version) == (asked, version)


def test_a_run_that_was_stopped_goes_on_and_asks_nothing_twice(
    project: Project, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The endpoint refuses this key half way, before any pair is judged in both orders."""
    judge.server.respond = refusing_after(5)
    assert not make(project)
    assert not project.store.exists("judged_win_rate")
    judge.server.respond = answer
    answered: list[str] = []
    monkeypatch.setattr(student_answers, "_answers_of", lambda name, *_: answered.append(name) or {})
    assert make(project)
    assert answered == []
    assert len(rows(project, "judgements")) == EVERY_QUESTION
    with project.ledger.open() as ledger, ledger.engine.connect() as connection:
        bought = connection.exec_driver_sql("select count(*), count(distinct request_key) from answers").one()
    assert bought == (len(judge.asked), len(judge.asked))
    assert not list(made(project).folder.glob("*.jsonl"))


def refusing_after(count: int) -> Any:
    """Answers about so many instructions, once each; whatever comes later is refused, as by a key that has expired."""
    judged: set[str] = set()

    def respond(body: Body) -> Reply | Fault | str:
        instruction = INSTRUCTION.findall(body["messages"][-1]["content"])[0]
        if instruction in judged or len(judged) == count:
            return Fault(status=401)
        judged.add(instruction)
        return answer(body)

    return respond


@pytest.mark.slow
def test_answers_go_on_from_the_batch_in_which_they_were_interrupted(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill can leave a line half written; batches, and so answers, are those of a run that was never stopped."""
    monkeypatch.setitem(answering.TOKENS_AT_ONCE, "cpu", 60)
    assert make(project)
    whole = [(row["model"], row["sample_id"], row["response"]) for row in rows(project, "student_answers")]
    shutil.rmtree(project.store.place("judged_win_rate"))
    generate, batches = answering.generate, []

    def dying(*arguments: Any, **options: Any) -> list[list[int]]:
        batches.append(len(arguments[1]))
        if len(batches) == 3:
            raise KeyboardInterrupt
        return generate(*arguments, **options)

    monkeypatch.setattr(answering, "generate", dying)
    assert not make(project)
    [left] = project.store.place("judged_win_rate").glob(".*/answers-base.jsonl")
    kept = len(left.read_text().splitlines())
    with left.open("a") as file:
        file.write('{"sample_id": "sam')
    assert make(project)
    assert [(row["model"], row["sample_id"], row["response"]) for row in rows(project, "student_answers")] == whole
    assert kept == sum(batches[:2])
    assert sum(batches[3:]) == 3 * QUESTIONS - kept


def test_questions_that_failed_are_counted_and_asked_again_alone(project: Project, judge: Judge) -> None:
    judge.server.faults.extend([Fault(status=400)] * 3)
    assert make(project)
    assert made(project).read_facts(WinRateFacts).unanswered == 3
    assert Counter(row["verdict"] for row in rows(project, "judgements"))["unanswered"] == 3
    assert sum(rate.pairs for rate in read_win_rates(made(project))) < QUESTIONS * len(ADAPTERS)
    asked = judge.server.count
    assert make(project)
    assert made(project).read_facts(WinRateFacts).unanswered == 0
    assert judge.server.count == asked + 3


def test_a_judge_that_never_answers_makes_nothing(project: Project, judge: Judge) -> None:
    judge.server.faults.extend([Fault(status=400)] * EVERY_QUESTION)
    assert not make(project)
    assert not project.store.exists("judged_win_rate")


def test_an_estimate_counts_every_question_and_then_none(project: Project) -> None:
    assert estimated() == (EVERY_QUESTION, False)
    assert make(project)
    assert estimated() == (0, True)


def estimated() -> tuple[int, bool]:
    """The most that the judge would be asked, and whether its output exists."""
    found = estimate_run(load_settings(), "2026-11-02", {"judged_win_rate": CONFIG}, ["judged_win_rate"])
    [(_, each, reused)] = found.steps
    return each.queries.most, reused


def test_another_judge_reads_the_same_answers(project: Project, judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    assert make(project)
    before = rows(project, "student_answers")
    monkeypatch.setenv("TEAMS_JUDGE_MODEL", "another")
    monkeypatch.setattr(student_answers, "_answers_of", lambda *_: pytest.fail("answered again"))
    assert make(project)
    after = rows(project, "student_answers")
    assert [(row["model"], row["response"]) for row in after] == [(row["model"], row["response"]) for row in before]
    assert {body["model"] for body in judge.server.received} == {"served-judge", "another"}


@pytest.mark.slow
@pytest.mark.parametrize(("reply", "contradictory"), [("A", QUESTIONS), ("tie", 0)])
def test_a_judge_without_an_opinion_leaves_a_tie_and_a_warning(
    project: Project, judge: Judge, reply: str, contradictory: int
) -> None:
    judge.server.respond = lambda _: reply
    assert make(project)
    for rate in read_win_rates(made(project)):
        assert (rate.win_rate, rate.ties) == (0.5, QUESTIONS)
        assert (rate.unclear, rate.contradictory) == (0, contradictory)
    result = check(project)
    assert (result.passed, result.severity) == (reply == "tie", dg.AssetCheckSeverity.WARN)


def test_a_judge_whose_judgements_cannot_be_read_ends_the_step_before_all_are_paid(
    project: Project, judge: Judge
) -> None:
    judge.server.respond = lambda _: "both are fine"
    assert not make(project)
    assert sum(judge.asked.values()) < EVERY_QUESTION
    failure = project.last.failure_data_for_node("judged_win_rate")
    assert failure is not None
    assert failure.error is not None
    assert "were not in the form that the prompt asks for. Check that TEAMS_JUDGE_MODEL" in failure.error.to_string()


def test_a_judge_at_a_provider_needs_a_budget_before_any_model_answers(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("MODEL", "m"), ("BASE_URL", "https://llm.example.com/v1"), ("API_KEY", "sk-planted")):
        monkeypatch.setenv(f"TEAMS_JUDGE_{name}", value)
    monkeypatch.setattr(judged_answers, "answer_all", lambda *_: pytest.fail("answered before the judge may be asked"))
    assert not make(project)
    failure = project.last.failure_data_for_node("judged_win_rate")
    assert failure is not None
    assert failure.error is not None
    assert "estimate: " in failure.error.to_string()
    assert "nothing bounds what that may cost" in failure.error.to_string()
