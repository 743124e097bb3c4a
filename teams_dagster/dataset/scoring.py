"""The scores of a generation's pairs: asked for, written down, and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from teams_dagster.core.following import Following
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.protocol import LLMClient, Outcome, Purpose, QueryFailed, Role
from teams_dagster.dataset.arms import TRAINED_ARM
from teams_dagster.dataset.manifests import generated_for, read_manifest
from teams_dagster.dataset.pair_settings import JUDGE, NOBODY
from teams_dagster.dataset.quality.rating import Rating, parse_rating, rate_prompt, rate_query
from teams_dagster.dataset.quality.scores import UNANSWERED, Pair, PairScore, best_of
from teams_dagster.dataset.sample import GivenAnswer, Sample
from teams_dagster.dataset.stored import answers_file, has_several, read_samples
from teams_dagster.environment.recording import AT_ONCE
from teams_dagster.instructions.requests import VERDICT
from teams_dagster.llm import loop
from teams_dagster.llm.engine import Engine
from teams_dagster.llm.ordered import in_order
from teams_dagster.llm.progress import Progress
from teams_dagster.llm.workers import LocalWorker, Worker
from teams_dagster.policy.query_forecast import SAMPLED, mean_bytes, still_open
from teams_dagster.pricing.forecast import QueryForecast
from teams_dagster.store.artefact_store import Artefact, ArtefactStore
from teams_dagster.store.facts.dataset import PairScoreFacts
from teams_dagster.store.tables import TableWriter, write_table

SCORES = "pair_scores"
"""The asset, and its table."""

BYTES_PER_TOKEN = 4
"""Of answers of which there is no example yet; a quarter of the longest is taken for usual."""


_RATE_PROMPT = "prompt of rate"


def scores_inputs(responses: Artefact, scored_by: str, judge: Mapping[str, str]) -> dict[str, str]:
    """What the scores of a generation's answers are made from; `judge` names and identifies the model that rates."""
    inputs = {responses.manifest["asset_key"]: responses.data_version}
    return inputs | ({_RATE_PROMPT: rate_prompt().version, **judge} if scored_by == JUDGE else {})


def scores_of(store: ArtefactStore, responses: Artefact) -> Artefact | None:
    """The current scores of a generation's answers; None where nobody scored them, and where they are of others."""
    week = responses.manifest["partition_key"]
    if responses.manifest["asset_key"] != TRAINED_ARM.responses or not store.exists(SCORES, week):
        return None
    scores = store.current(SCORES, week)
    facts = scores.read_facts(PairScoreFacts)
    return scores if facts.scored_by != NOBODY and facts.responses_version == responses.data_version else None


def scores_input(week: str) -> str:
    """How a dataset's inputs name the scores of a generation."""
    return f"{SCORES} {week}"


def scores_used(store: ArtefactStore, inputs: Mapping[str, str]) -> list[Artefact]:
    """The scores among the inputs of a dataset. Raises ArtefactMissing where they are gone."""
    weeks = [name.removeprefix(scores_input("")) for name in inputs if name.startswith(scores_input(""))]
    return [store.of_version(SCORES, inputs[scores_input(week)], week) for week in weeks]


def ratings_asked(scores: Artefact) -> int:
    """Queries to the judge, paid or reused."""
    return sum(scores.read_facts(PairScoreFacts).ratings.values())


def answers_of(responses: Artefact) -> Iterator[tuple[str, list[GivenAnswer]]]:
    """By sample, in their order, every answer to it, where several were asked for; nothing where one was."""
    if has_several(responses):
        for sample_id, rows in groupby(_rows(answers_file(responses)), key=lambda row: row["sample_id"]):
            yield (
                sample_id,
                [
                    GivenAnswer(row["response"], row["respond_request_id"], row["reason"], row.get("reasoning"))
                    for row in rows
                ],
            )


def pairs_of(responses: Artefact) -> Iterator[Pair]:
    """The pairs of a generation that no rule refused, in its order: each answer to an instruction is one."""
    several = Following(answers_of(responses))
    for sample in read_samples(responses):
        yield from pairs_in(sample, several.take(sample.sample_id) or ())


def pairs_in(sample: Sample, several: Sequence[GivenAnswer]) -> Iterator[Pair]:
    """The pairs of one sample; `several` are its answers, where more than one was asked for."""
    own = GivenAnswer(sample.response, sample.respond_request_id, sample.reason)
    for number, given in enumerate(several or [own]):
        if given.reason is None and given.response is not None:
            yield Pair(
                sample_id=sample.sample_id,
                transition_id=sample.transition_id,
                partition_key=sample.partition_key,
                answer=number,
                instruction=sample.instruction,
                response=given.response,
                respond_request_id=given.respond_request_id,
            )


def judge_named(versions: Mapping[str, str]) -> str:
    """The model that rates, of which `versions` has the identity, and the version of its prompt."""
    return _named(versions.values(), rate_prompt().version)


def judge_of(scores: Artefact) -> str | None:
    """Who rated, as `judge_named` says it; None where programs alone scored."""
    inputs: Mapping[str, str] = scores.manifest["inputs"]
    if _RATE_PROMPT not in inputs:
        return None
    return _named((who for name, who in inputs.items() if name.startswith("model of ")), inputs[_RATE_PROMPT])


def _named(models: Iterable[str], prompt_version: str) -> str:
    return ", ".join([*models, f"prompt {prompt_version}"])


def rating_queries(
    store: ArtefactStore, responses: Artefact, earlier: Artefact | None, judge: Mapping[str, str]
) -> list[QueryForecast]:
    """What rating a generation's pairs will ask: all of them, or where they were rated `earlier` what failed then.

    Of a generation that was played to a target with this `judge`, the answers that counted were rated as it was played.
    """
    counted = read_manifest(generated_for(store, responses)).counted
    rated = counted.answers if earlier is None and counted.judge == judge_named(judge) else 0
    count = still_open(earlier, sum(pair.answer >= rated for pair in pairs_of(responses)))
    size = mean_bytes([rate_query(pair.instruction, pair.response) for pair in islice(pairs_of(responses), SAMPLED)])
    return [QueryForecast(Role.JUDGE, Purpose.RATE, count, count, count, size, VERDICT.max_tokens)]


def ratings_later(answers: QueryForecast, like: Sequence[Instruction]) -> QueryForecast:
    """What rating answers that are still to come will ask: instructions are taken to be such as `like`."""
    answer = "x" * (BYTES_PER_TOKEN * answers.max_tokens // 4)
    size = mean_bytes([rate_query(instruction, answer) for instruction in like[:SAMPLED]])
    return QueryForecast(
        Role.JUDGE, Purpose.RATE, answers.least, answers.likely, answers.most, size, VERDICT.max_tokens
    )


async def rate_pair(client: LLMClient, pair: Pair) -> PairScore:
    """What the judge says of a pair."""
    query = rate_query(pair.instruction, pair.response)
    try:
        answer = await client.ask(query, transition_id=pair.transition_id, sample_id=pair.sample_id)
    except QueryFailed:
        return PairScore(pair, UNANSWERED, None, query.prompt_version)
    usable = answer.completion.outcome is Outcome.USABLE
    rating = parse_rating(answer.completion.text) if usable else Rating.UNCLEAR
    return PairScore(pair, rating.value, answer.request_id, query.prompt_version)


def rate_pairs(client: LLMClient, pairs: Iterable[Pair], *, width: int) -> AsyncGenerator[PairScore]:
    """What the judge says of each pair, in their order; `width` bounds the queries under way."""
    return in_order(partial(rate_pair, client), pairs, width)


@asynccontextmanager
async def rating_worker(
    work: None, asking: AbstractAsyncContextManager[Engine]
) -> AsyncGenerator[LocalWorker[Pair, PairScore]]:
    """Asks the judge about pairs; all that it needs is in them."""
    async with asking as engine:
        yield LocalWorker(partial(rate_pair, engine), engine.tallies)


def write_programs_scores(folder: Path, run_id: str, pairs: Iterable[Pair]) -> None:
    """Write what programs say of `pairs` into `folder`: table `pair_scores`. No query is sent."""
    scored = (PairScore(pair, None) for pair in pairs)
    with TableWriter(folder, SCORES) as table:
        for _, scores in groupby(scored, key=lambda score: score.pair.sample_id):
            table.write(_rows_of(list(scores), run_id))


def write_judged_scores(
    folder: Path,
    run_id: str,
    responses: Artefact,
    judging: AbstractAsyncContextManager[Worker[Pair, PairScore]],
    *,
    width: int,
    log: Callable[[str], None],
) -> None:
    """Ask the judge about every pair of a generation, and write `pair_scores` and `prompt_templates` into `folder`.

    Args:
        folder: Where the tables are written.
        run_id: The run that each row names.
        responses: The generation's answers.
        judging: Opens who asks the judge, by `rating_worker`.
        width: Queries that may be under way at once.
        log: Told of the progress.
    """
    loop.run(_record(folder, run_id, responses, judging, width, log))
    prompt = rate_prompt()
    template = {"prompt_version": prompt.version, "name": prompt.name, "text": prompt.source, "run_id": run_id}
    write_table(folder, "prompt_templates", [template])


async def _record(
    folder: Path,
    run_id: str,
    responses: Artefact,
    judging: AbstractAsyncContextManager[Worker[Pair, PairScore]],
    width: int,
    log: Callable[[str], None],
) -> None:
    total = sum(1 for _ in pairs_of(responses))
    async with judging as worker, Progress(total, "pairs", worker.tallies, log, kept="rated") as progress:
        with TableWriter(folder, SCORES) as table:
            of_sample: list[PairScore] = []
            async for score in in_order(worker.call, pairs_of(responses), width):
                if of_sample and of_sample[0].pair.sample_id != score.pair.sample_id:
                    table.write(_rows_of(of_sample, run_id))
                    of_sample = []
                of_sample.append(score)
                progress.done(score.score is not None)
            table.write(_rows_of(of_sample, run_id))


def score_rows(scores: list[PairScore]) -> list[dict[str, object]]:
    """The rows of one sample's answers: the best of them is chosen."""
    best = best_of([score.score for score in scores]) if scores else None
    return [score.row(chosen=number == best) for number, score in enumerate(scores)]


def _rows_of(scores: list[PairScore], run_id: str) -> list[dict[str, object]]:
    return [row | {"run_id": run_id} for row in score_rows(scores)]


def score_facts(
    folder: Path,
    scored_by: str,
    responses: Artefact,
    judge: Mapping[str, Any] | None,
    outcomes: Mapping[str, dict[str, Any]],
) -> PairScoreFacts:
    """What came of the scores in `folder`.

    Args:
        folder: Holds table `pair_scores`.
        scored_by: Who scored.
        responses: The generation's answers.
        judge: The identity of the model that rated, as plain values.
        outcomes: Those of the queries on the ledger, by purpose.
    """
    rows = pq.read_table(folder / f"{SCORES}.parquet", columns=["score", "rating", "broken"]).to_pylist()
    return PairScoreFacts(
        scored_by=scored_by,
        responses_version=responses.data_version,
        pairs=len(rows),
        without_score=sum(row["score"] is None for row in rows),
        broken=sum(row["broken"] > 0 for row in rows),
        ratings=dict(sorted(Counter(row["rating"] for row in rows if row["rating"]).items())),
        unanswered=sum(row["rating"] == UNANSWERED for row in rows),
        judge=dict(judge) if judge else {},
        outcomes=dict(outcomes),
    )


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    for batch in pq.ParquetFile(path).iter_batches(AT_ONCE):
        yield from batch.to_pylist()
