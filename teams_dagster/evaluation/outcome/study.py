"""An outcome study from its arms' first query to its scores. Interrupted anywhere, it goes on from what is there."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import GenericRewrite
from teams_dagster.dataset.sample import Example
from teams_dagster.environment.recording import EpisodeTables
from teams_dagster.evaluation.outcome.arm_worker import ArmItem, ArmPlayers, ArmResult
from teams_dagster.evaluation.outcome.arms import (
    ArmPairs,
    answer_all,
    draw_rows,
    episode_plans,
    play_arm,
    players,
    price,
    rewritten,
    seeds_alone,
)
from teams_dagster.evaluation.outcome.items import Items, choose_items
from teams_dagster.evaluation.outcome.plan import ARMS, BASE, SEEDS_ANSWERED, TRAINED_COUNTED, OutcomePlan
from teams_dagster.evaluation.outcome.scores import Difference, OutcomeScore, all_scores, differences
from teams_dagster.evaluation.outcome.students import Measured, measured_student
from teams_dagster.instructions.prompts import write_prompts
from teams_dagster.instructions.requests import rewrite_prompt
from teams_dagster.llm.workers import Worker
from teams_dagster.policy.checkpoint import Checkpoint
from teams_dagster.store.artefact_store import Artefact
from teams_dagster.store.facts.evaluation import ArmFacts, OutcomeFacts
from teams_dagster.store.parquet import read_rows

STUDENTS = "students"

Log = Callable[[str], None]


@dataclass(frozen=True)
class Study:
    """What a study found."""

    arms: Mapping[str, ArmPairs]
    items: Items
    students: Mapping[str, Sequence[Measured]]
    base: Measured
    differences: Sequence[Difference]

    def scores(self) -> list[OutcomeScore]:
        """Its rows."""
        return all_scores(self.items, self.students, self.base, self.differences)


async def make_pairs(
    workers: AbstractAsyncContextManager[Worker[ArmItem, ArmResult]],
    checkpoint: Checkpoint,
    seeds: Mapping[str, Instruction],
    plan: OutcomePlan,
    folder: Path,
    run_id: str,
    *,
    width: int,
    log: Log,
) -> dict[str, ArmPairs]:
    """Play and answer every arm; its transitions are written into `folder`. What the ledger has is not paid again.

    Args:
        workers: Opens who plays and answers: an `arm_worker`, or several.
        checkpoint: The trained policy, by whose reward all arms are judged.
        seeds: Those that every arm starts from, in the order that they are played in.
        plan: The study's sizes.
        folder: Where tables and prompts are written.
        run_id: The run that each row names.
        width: Episodes, or answers, that may be under way at once.
        log: Told of each arm.
    """
    made: dict[str, ArmPairs] = {}
    async with workers as worker:
        with EpisodeTables(folder, run_id) as tables:
            for arm in ARMS:
                made[arm] = await _pairs_of(arm, ArmPlayers(worker), checkpoint, seeds, plan, tables, width)
                kept = made[arm]
                log(
                    f"arm {arm}: {kept.asked:,} queries, {len(kept.pairs):,} pairs that differ, {kept.duplicates:,}"
                    f" near duplicates, {kept.refused:,} answers refused, {kept.unanswered:,} queries unanswered"
                )
    write_prompts(folder, run_id, [rewrite_prompt(GenericRewrite.HARDER)])
    return made


async def _pairs_of(
    arm: str,
    workers: ArmPlayers,
    checkpoint: Checkpoint,
    seeds: Mapping[str, Instruction],
    plan: OutcomePlan,
    tables: EpisodeTables,
    width: int,
) -> ArmPairs:
    queries = plan.allowance(arm)
    if arm == SEEDS_ANSWERED:
        return await answer_all(workers.answer, arm, seeds_alone(seeds, queries), asked=0, failed=0, width=width)
    plans = episode_plans(players(checkpoint)[arm], seeds, plan)
    played = play_arm(workers.episodes_of(arm), plans, queries, checkpoint.config.reward, width=width)
    async with aclosing(played) as stream:
        episodes = [episode async for episode in stream]
    if arm != TRAINED_COUNTED:  # its episodes are the first of the trained arm's
        tables.record(episodes)
    waiting = rewritten(episodes)
    asked = sum(price(t) for episode in episodes for t in episode.recorded) - len(waiting)
    failed = sum(episode.failed is not None for episode in episodes)
    return await answer_all(workers.answer, arm, waiting, asked=asked, failed=failed, width=width)


def fitting(base: str, arms: Mapping[str, ArmPairs], plan: OutcomePlan) -> dict[str, ArmPairs]:
    """The arms with the pairs alone that a student takes whole: a row that is left out would leave it one fewer."""
    from teams_dagster.student.lengths import lengths_for

    lengths = lengths_for(base, ())

    def short(pair: Example) -> bool:
        return lengths.whole(pair) <= plan.adapter.max_length

    return {name: replace(arm, pairs=tuple(filter(short, arm.pairs))) for name, arm in arms.items()}


def run_students(
    base: str, arms: Mapping[str, ArmPairs], people: Sequence[Example], plan: OutcomePlan, folder: Path, log: Log
) -> Study:
    """Train and score every student of every arm, and the base; each is written down as soon as it is measured."""
    items = choose_items(base, people, (pair for arm in arms.values() for pair in arm.pairs), plan)
    log(
        f"{len(items.pairs)} people's pairs, {len(items.questions)} of them with a choice, and {len(items.prompts)}"
        f" prompts with constraints; left out: {dict(items.left_out) or 'none'}"
    )
    where = folder / STUDENTS
    began, total = time.monotonic(), plan.students * len(arms)
    measured_base = measured_student(BASE, 0, base, (), items, plan, where, log)
    students: dict[str, list[Measured]] = {arm: [] for arm in arms}
    for student in range(plan.students):  # a seed of every arm before the next seed: all arms are equally far
        for arm, kept in arms.items():
            rows = draw_rows(kept, plan, student)
            students[arm].append(measured_student(arm, student, base, rows, items, plan, where, log))
            done = sum(map(len, students.values()))
            log(f"student {done} of {total} ({arm}, seed {student}) measured, {time.monotonic() - began:.0f} s so far")
    return Study(arms, items, students, measured_base, differences(items, students))


def write_texts(folder: Path, study: Study) -> None:
    """Write every arm's pairs, and every student's reply to every prompt, for who wants to look."""
    replies = [
        {"arm": arm, "student": number, "prompt": prompt.instruction.text, "reply": measured.replies[prompt.prompt_id]}
        for arm, each in {**study.students, BASE: [study.base]}.items()
        for number, measured in enumerate(each)
        for prompt in study.items.prompts
    ]
    pairs = [
        {
            "arm": name,
            "seed_id": pair.seed_id,
            "instruction": pair.instruction.text,
            "input": pair.instruction.input,
            "response": pair.response,
        }
        for name, arm in study.arms.items()
        for pair in arm.pairs
    ]
    pq.write_table(pa.Table.from_pylist(replies), folder / "outcome_replies.parquet")
    pq.write_table(pa.Table.from_pylist(pairs), folder / "outcome_pairs.parquet")


def outcome_facts(study: Study, plan: OutcomePlan, outcomes: Mapping[str, dict[str, Any]]) -> OutcomeFacts:
    """What was done; `outcomes` are those of its queries on the ledger, by purpose."""
    return OutcomeFacts(
        training_queries=plan.training_queries,
        rows=plan.rows,
        students=plan.students,
        pairs=len(study.items.pairs),
        prompts=len(study.items.prompts),
        left_out=dict(study.items.left_out),
        arms={
            name: ArmFacts(
                allowed=plan.allowance(name),
                asked=arm.asked,
                pairs=len(arm.pairs),
                updates=[measured.updates for measured in study.students[name]],
            )
            for name, arm in study.arms.items()
        },
        unanswered=sum(arm.unanswered for arm in study.arms.values()),
        outcomes=dict(outcomes),
    )


def read_outcome_scores(artefact: Artefact) -> list[OutcomeScore]:
    """The scores of an `outcome_scores` artefact."""
    columns = [field.name for field in fields(OutcomeScore)]
    return [OutcomeScore(**row) for row in read_rows(artefact.path("evaluation_scores.parquet"), columns)]
