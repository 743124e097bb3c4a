"""Several answers to each instruction, rated: each is followed where money, lineage and figures are shown.

A server answers three times: its first answer is in part right, a rule refuses the second, the judge prefers the third.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from assets.accounting.query_costs import query_costs
from assets.accounting.sample_lineage import sample_lineage
from assets.dataset.expert_responses import expert_responses
from assets.dataset.generated_instructions import generated_instructions
from assets.dataset.instruction_dataset import instruction_dataset
from assets.dataset.pair_scores import pair_scores
from teams_dagster.core.metadata import Table
from teams_dagster.dataset.answers import ANSWER_STRIDE
from teams_dagster.dataset.card import CARD, DataCard
from teams_dagster.dataset.pair_costs import stored_pair_costs
from teams_dagster.dataset.quality.scores import Fault
from teams_dagster.dataset.yields import expert_yield
from teams_dagster.evaluation.paper_values import of_dataset
from teams_dagster.ledger.costs import costs_by, costs_of
from teams_dagster.lineage.forward import forward_lineage
from teams_dagster.lineage.trace import trace
from teams_dagster.lineage.tree import lineage_details, lineage_lines
from teams_dagster.report.content import GenerationResults
from teams_dagster.report.costs import read_costs
from teams_dagster.report.dataset_results import MadeGeneration, dataset_results
from teams_dagster.report.gather import question_counts
from teams_dagster.store.artefact_store import Artefact
from teams_dagster.store.facts.dataset import DatasetFacts, GenerationFacts
from tests.support.openai_server import Body, OpenAIServer, Reply
from tests.support.project import Project
from tests.support.served_rules import answer

WEEK = "2026-11-02"
ANSWERS = 3
PRICES = "".join(
    f'[[price]]\nprovider = "openai"\nmodel = "{model}"\ninput = {price}\noutput = {4 * price}\n'
    for model, price in (("strong", 2_500), ("cheap", 150))
)


def serve(body: Body) -> Reply:
    """What the rules say: of an answer also which one it is, the second of them an apology; and ratings of answers."""
    user = body["messages"][-1]["content"]
    if "</answer" in user:
        said = "good" if "Answer number 2." in user else "partly"
    else:
        said = answer(body)
        number = (body.get("seed") or 0) // ANSWER_STRIDE
        said = "I'm sorry." if number == 1 else f"{said}\nAnswer number {number}." if is_answer(body) else said
    return Reply(said, prompt_tokens=len(user) // 4, completion_tokens=max(1, len(said) // 4))


def is_answer(body: Body) -> bool:
    """Whether the body asks for an answer, and not for a rewrite."""
    return "<instruction>" not in body["messages"][-1]["content"]


@pytest.fixture(scope="module")
def made(seeded: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A generation of three answers each, rated, and its dataset without those that are right in part."""
    data = Path(shutil.copytree(seeded, tmp_path_factory.mktemp("several"), dirs_exist_ok=True))
    (data / "prices.toml").write_text(PRICES, encoding="utf-8")
    with OpenAIServer(serve) as server, pytest.MonkeyPatch.context() as patched:
        patched.setenv("TEAMS_DATA_DIR", str(data))
        patched.setenv("TEAMS_PREFLIGHT", "off")
        patched.setenv("TEAMS_PRICES", str(data / "prices.toml"))
        for role in ("REVIEWER", "INSTRUCTOR"):
            patched.setenv(f"TEAMS_{role}_PROVIDER", "offline")
        for role, model in (("EXPERT", "strong"), ("JUDGE", "cheap")):
            for name, value in (("MODEL", model), ("BASE_URL", server.base_url), ("STRUCTURED", "off")):
                patched.setenv(f"TEAMS_{role}_{name}", value)
        project = Project(data)
        settings = {"policy": "uniform", "seeds": 24}
        assert project.make(generated_instructions, week=WEEK, generated_instructions=settings)
        assert project.make(expert_responses, week=WEEK, expert_responses={"answers": ANSWERS})
        assert project.make(pair_scores, week=WEEK, pair_scores={"scored_by": "judge"})
        assert project.make(instruction_dataset, instruction_dataset={"min_score": 0.6})
        assert project.make(sample_lineage)
        assert project.make(query_costs)
        yield project


@pytest.fixture(autouse=True)
def _where_it_is(made: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAMS_DATA_DIR", str(made.store.root))


@pytest.fixture
def model(made: Project) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(made.ledger.read_model, read_only=True) as connection:
        yield connection


@dataclass(frozen=True)
class Bill:
    """What one asset's queries cost, and how many there were."""

    asked: int
    nano_usd: int


def bill(project: Project, asset_key: str) -> Bill:
    with project.ledger.open() as ledger:
        [cost] = [cost for cost in costs_by(ledger, ["asset_key"]) if cost.group["asset_key"] == asset_key]
    return Bill(cost.asked, cost.cost_nano_usd)


def rows(artefact: Artefact, table: str) -> list[dict[str, Any]]:
    return pq.read_table(artefact.path(f"{table}.parquet")).to_pylist()


def samples(project: Project) -> list[dict[str, Any]]:
    return rows(project.store.current("expert_responses", WEEK), "samples")


def transitions(project: Project) -> list[dict[str, Any]]:
    return rows(project.store.current("generated_instructions", WEEK), "transitions")


@pytest.mark.slow
def test_the_third_of_three_answers_is_chosen_where_the_second_is_refused(made: Project) -> None:
    scores = rows(made.store.current("pair_scores", WEEK), "pair_scores")
    assert {row["answer"] for row in scores} == {0, 2}
    assert 2 in {row["answer"] for row in scores if row["chosen"]}
    assert bill(made, "expert_responses").asked == ANSWERS * len(samples(made)) > 0


@pytest.fixture
def later(made: Project) -> list[dict[str, Any]]:
    """All answers to one instruction, of which the last was chosen."""
    scores = rows(made.store.current("pair_scores", WEEK), "pair_scores")
    sample_id = next(row["sample_id"] for row in scores if row["chosen"] and row["answer"] == 2)
    given = rows(made.store.current("expert_responses", WEEK), "sample_answers")
    return [row for row in given if row["sample_id"] == sample_id]


@pytest.mark.slow
def test_the_lineage_shows_the_chosen_answer_and_what_every_other_was(
    model: duckdb.DuckDBPyConnection, later: list[dict[str, Any]]
) -> None:
    found = trace(model, later[0]["sample_id"])
    assert found.answer is not None
    assert found.answer.response == later[2]["response"]
    assert [query.request_id for query in found.answer.queries] == [later[2]["respond_request_id"]]
    assert [(other.answer, other.reason) for other in found.other_answers] == [(0, None), (1, "short_apology")]
    lines = lineage_lines(found)
    assert lines.index("│    Answer number 2.") < lines.index("├─ answer 0: not chosen")
    assert "├─ answer 1: refused: short_apology" in lines


def test_the_ui_shows_every_answer_with_its_score(
    model: duckdb.DuckDBPyConnection, later: list[dict[str, Any]]
) -> None:
    details = lineage_details(trace(model, later[0]["sample_id"]))
    answers, scores = details["answer"], details["scores"]
    assert isinstance(answers, Table)
    assert isinstance(scores, Table)
    assert [row[:2] for row in answers.rows] == [(2, "yes"), (0, "not chosen"), (1, "short_apology")]
    assert scores.columns == ("answer", "chosen", "score", "rating", "constraints kept")
    assert [row[:4] for row in scores.rows] == [(0, "", 0.5, "partly"), (2, "yes", 1.0, "good")]


def test_the_cost_in_a_lineage_is_that_of_all_its_answers_and_ratings(
    made: Project, model: duckdb.DuckDBPyConnection, later: list[dict[str, Any]]
) -> None:
    found = trace(model, later[0]["sample_id"])
    requests = {query.request_id for query in found.queries}
    assert {row["respond_request_id"] for row in later} < requests
    with made.ledger.open() as ledger:
        assert found.cost_nano_usd == sum(cost or 0 for cost in costs_of(ledger, requests).values())


def test_the_views_name_the_chosen_answer_and_count_every_one(
    made: Project, model: duckdb.DuckDBPyConnection, later: list[dict[str, Any]]
) -> None:
    sample_id = later[0]["sample_id"]
    last = "order by hop desc limit 1"
    columns = "respond_request_id, cost_nano_usd"
    [view] = model.execute(f"select {columns} from sample_lineage where sample_id = ? {last}", [sample_id]).fetchall()
    assert model.execute(f"select {columns} from lineage_of(?) {last}", [sample_id]).fetchall() == [view]
    with made.ledger.open() as ledger:
        paid = sum(cost or 0 for cost in costs_of(ledger, [row["respond_request_id"] for row in later]).values())
    assert (view[0], view[1] >= paid > 0) == (later[2]["respond_request_id"], True)
    [(response,)] = model.execute("select response from chosen_samples where sample_id = ?", [sample_id]).fetchall()
    assert response == later[2]["response"]


def test_forward_follows_answers_that_were_not_chosen_and_ratings(
    made: Project, model: duckdb.DuckDBPyConnection, later: list[dict[str, Any]]
) -> None:
    scores = rows(made.store.current("pair_scores", WEEK), "pair_scores")
    rated = [row["judge_request_id"] for row in scores if row["sample_id"] == later[0]["sample_id"]]
    for request in (*(row["respond_request_id"] for row in later), *rated):
        touched = forward_lineage(model, "query", request).shown
        assert later[0]["sample_id"] in {sample.sample_id for sample in touched}
    assert forward_lineage(model, "model", "cheap").samples == len({row["sample_id"] for row in scores})
    assert forward_lineage(model, "prompt", "rate").samples == len({row["sample_id"] for row in scores})


def test_a_kept_pair_costs_all_its_answers(made: Project) -> None:
    with made.ledger.open() as ledger:
        total = stored_pair_costs(made.store, ledger).total
    paid = bill(made, "generated_instructions").nano_usd + bill(made, "expert_responses").nano_usd
    assert (total.nano_usd, total.kept) == (paid, len(samples(made)))


def test_the_cards_queries_and_cost_are_those_of_the_ledger(made: Project) -> None:
    card = DataCard.from_json(made.store.current("instruction_dataset").path(CARD).read_text(encoding="utf-8"))
    bills = [bill(made, asset) for asset in ("generated_instructions", "expert_responses", "pair_scores")]
    assert card.cost_nano_usd == sum(bill.nano_usd for bill in bills) > 0
    assert card.queries == sum(bill.asked for bill in bills)


def test_an_accepted_pair_took_every_answer_that_was_asked_for(made: Project) -> None:
    responses, generated = (made.store.current(a, WEEK) for a in ("expert_responses", "generated_instructions"))
    operations = generated.read_facts(GenerationFacts).operations
    rewrites = sum(counts.chosen for name, counts in operations.items() if name != "none")
    asked = expert_yield(made.store, [responses])
    assert (asked.rewrites, asked.responses) == (rewrites, ANSWERS * len(samples(made)))


def test_the_papers_table_tells_answers_reviews_and_ratings_apart(made: Project) -> None:
    values = {
        value.quantity: value.value
        for value in of_dataset(made.store, made.store.current("instruction_dataset"), "lora")
    }
    reviews = sum(row["review_request_id"] is not None for row in transitions(made))
    assert values["review_queries"] == reviews
    assert values["rating_queries"] == bill(made, "pair_scores").asked
    parts = ("expert_queries", "review_queries", "rating_queries")
    assert values["queries"] == sum(values[part] for part in parts)


def test_the_reports_main_line_counts_ratings_among_its_queries(made: Project) -> None:
    counts = question_counts(read_costs(made.store.current("query_costs"))["asset_key, purpose"])
    asked = bill(made, "expert_responses").asked, bill(made, "pair_scores").asked
    assert (counts.answers, counts.ratings) == asked


@pytest.fixture(scope="module")
def shown(made: Project) -> GenerationResults:
    costs = read_costs(made.store.current("query_costs"))
    [generation] = dataset_results(made.store, [MadeGeneration(made.store, WEEK)], costs).generations
    return generation


def test_a_generations_figures_hold_its_answers_and_its_ratings(made: Project, shown: GenerationResults) -> None:
    bills = [bill(made, asset) for asset in ("generated_instructions", "expert_responses", "pair_scores")]
    assert (shown.questions, shown.cost_nano_usd) == (
        sum(bill.asked for bill in bills),
        sum(bill.nano_usd for bill in bills),
    )


def test_the_report_tells_ratings_and_how_often_a_later_answer_was_better(made: Project) -> None:
    costs = read_costs(made.store.current("query_costs"))
    ratings = dataset_results(made.store, [MadeGeneration(made.store, WEEK)], costs).ratings
    assert ratings is not None
    scores = rows(made.store.current("pair_scores", WEEK), "pair_scores")
    first = {row["sample_id"]: row["score"] for row in scores if row["answer"] == 0}
    later = [row for row in scores if row["answer"] == 2 and row["score"] > first[row["sample_id"]]]
    assert (ratings.pairs, ratings.later_better) == (len(scores), len(later))
    assert ratings.cost_nano_usd == bill(made, "pair_scores").nano_usd
    dropped = made.store.current("instruction_dataset").read_facts(DatasetFacts).dropped
    assert {reason: count for reason, count in dropped.items() if reason in set(Fault)} == ratings.dropped
