"""The models answer held-out instructions, and the judge says of each adapter's answers whether it prefers them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from teams_dagster.core.hashing import content_hash
from teams_dagster.dataset.failures import NothingAnswered
from teams_dagster.evaluation.asking_judge import Contest, Judgement
from teams_dagster.evaluation.judging import judge_prompt
from teams_dagster.evaluation.stored import evaluated_versions
from teams_dagster.evaluation.student_answers import (
    BASE,
    TABLE,
    Answered,
    Answering,
    answer_all,
    answer_rows,
    drop_kept,
)
from teams_dagster.evaluation.win_rate import Compared, WinRate, win_rate
from teams_dagster.llm.ordered import in_order
from teams_dagster.llm.progress import Progress
from teams_dagster.llm.workers import Worker
from teams_dagster.store.artefact_store import Artefact
from teams_dagster.store.tables import write_table
from teams_dagster.student.stored import ADAPTERS

if TYPE_CHECKING:
    from teams_dagster.student.answering import StudentAnswer


Pairs = Sequence[tuple[str, str]]
"""Who is compared with whom, by their names."""
AGAINST_BASE: Pairs = tuple((adapter, BASE) for adapter in ADAPTERS)


@dataclass(frozen=True)
class JudgedAnswers:
    """What every model answered, and what the judge said of each pair of answers."""

    answered: Answered
    judgements: tuple[Judgement, ...]

    @property
    def unanswered(self) -> int:
        """Queries to the judge that failed for good."""
        return sum(judgement.unanswered for judgement in self.judgements)

    @property
    def nothing_judged(self) -> bool:
        """No pair has a verdict in both orders."""
        return all(judgement.pair is None for judgement in self.judgements)

    @property
    def cut_off(self) -> dict[str, int]:
        """By model, the answers that reached the longest length."""
        answers = self.answered.answers
        return {name: sum(not answer.finished for answer in own.values()) for name, own in answers.items()}


def judging_inputs(students: Mapping[str, Artefact], dataset: Artefact, judge: Mapping[str, str]) -> dict[str, str]:
    """What a win rate is made from, besides its configuration; `judge` names and identifies the model that judges."""
    return {**evaluated_versions(students, dataset), "prompt of judge": judge_prompt().version, **judge}


async def judge_answers(
    judging: AbstractAsyncContextManager[Worker[Contest, Judgement]],
    answering: Answering,
    known: Mapping[str, Mapping[str, StudentAnswer]],
    *,
    width: int,
    pairs: Pairs = AGAINST_BASE,
) -> JudgedAnswers:
    """Let the models answer, once it is known that the judge may be asked, and ask it about each pair of answers.

    Args:
        judging: Opens who asks the judge, by `contest_worker`; it fails where the judge cannot be asked.
        known: Answers, by model and sample id, that are not made again.
        width: Pairs of answers under way at once.
        pairs: Whose answers are compared with whose.
    """
    judged: list[Judgement] = []
    async with judging as worker:
        answered = answer_all(answering, known)
        contests = list(_contests(answered, pairs))
        progress = Progress(len(contests), "pairs of answers", worker.tallies, answering.progress, kept="judged")
        async with progress, aclosing(in_order(worker.call, contests, width)) as judgements:
            async for judgement in judgements:
                judged.append(judgement)
                progress.done(judgement.pair is not None)
    return JudgedAnswers(answered, tuple(judged))


def _contests(answered: Answered, pairs: Pairs) -> Iterator[Contest]:
    for model, against in pairs:
        for example in answered.examples:
            yield Contest(
                model=model,
                against=against,
                sample_id=example.sample_id,
                seed_id=example.seed_id,
                instruction=example.instruction,
                answer=answered.answers[model][example.sample_id].response,
                other_answer=answered.answers[against][example.sample_id].response,
            )


def demand_verdicts(judged: JudgedAnswers) -> None:
    """Raises NothingAnswered where no pair has a verdict in both orders."""
    if judged.nothing_judged:
        raise NothingAnswered(
            f"no pair of answers was judged in both orders: {judged.unanswered} queries failed, and the"
            " ledger (llm_calls.error_kind, error_detail) says why. Check TEAMS_JUDGE_BASE_URL,"
            " TEAMS_JUDGE_MODEL and TEAMS_JUDGE_API_KEY, and run the same step again: what was answered is kept"
        )


def win_rates(
    judged: JudgedAnswers,
    students: Mapping[str, Artefact],
    dataset_version: str,
    judge: str,
    *,
    seed: int,
    pairs: Pairs = AGAINST_BASE,
) -> list[WinRate]:
    """The win rate of each of `pairs` some of whose answers were judged; all by the same resampled seeds."""
    rates: list[WinRate] = []
    for model, against in pairs:
        version, questions = students[model].data_version, len(judged.answered.examples)
        who = [each for each in judged.judgements if (each.contest.model, each.contest.against) == (model, against)]
        scored = [each.pair for each in who if each.pair is not None]
        if scored:
            compared = Compared(model, against, questions, judge, version, dataset_version)
            rates.append(win_rate(scored, compared, "judged", seed))
    return rates


def write_judged(
    folder: Path,
    run_id: str,
    judged: JudgedAnswers,
    rates: Sequence[WinRate],
    students: Mapping[str, Artefact],
) -> None:
    """Write the tables of answers, judgements, win rates and the judge's prompt into `folder`."""
    run, prompt = {"run_id": run_id}, judge_prompt()
    template = {"prompt_version": prompt.version, "name": prompt.name, "text": prompt.source}
    write_table(folder, TABLE, (row | run for row in answer_rows(judged.answered, students)))
    write_table(folder, "judgements", (row | run for each in judged.judgements for row in each.rows()))
    write_table(folder, "win_rates", (asdict(rate) | run for rate in rates))
    write_table(folder, "prompt_templates", [template | run])
    drop_kept(folder)


def judged_version(judged: JudgedAnswers, rates: Sequence[WinRate]) -> str:
    """The hash of what was said and found, whatever the ids of the queries."""
    said = [{**row, "judge_request_id": None} for each in judged.judgements for row in each.rows()]
    return content_hash("judged_win_rate", [asdict(rate) for rate in rates], said)
