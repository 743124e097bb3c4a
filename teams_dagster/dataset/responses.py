"""The answers to a generation: asked for, written down as samples, and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack, suppress
from pathlib import Path
from typing import Any

from teams_dagster.core.hashing import content_hash
from teams_dagster.core.protocol import Role
from teams_dagster.dataset.answers import NO_ANSWER, Answering
from teams_dagster.dataset.arms import arm_of
from teams_dagster.dataset.failures import NothingToRetry, Silence, refuse_silence
from teams_dagster.dataset.manifests import generated_for, read_manifest
from teams_dagster.dataset.sample import Accepted, Sample
from teams_dagster.dataset.stored import ANSWERS, accepted_of, responses_inputs
from teams_dagster.environment.recording import AT_ONCE, content_of
from teams_dagster.instructions.prompts import write_prompts
from teams_dagster.llm import loop
from teams_dagster.llm.ordered import in_order
from teams_dagster.llm.progress import Progress
from teams_dagster.llm.workers import Worker
from teams_dagster.store.artefact_store import Artefact, ArtefactMissing, ArtefactStore
from teams_dagster.store.facts.dataset import GenerationFacts, ResponseFacts
from teams_dagster.store.parquet import iterate_rows
from teams_dagster.store.tables import TableWriter

REASONING_WORDS = "max_reasoning_words"
"""In the configuration of answers that were made with their thoughts: the most words that these have."""


def kept_reasoning(responses: Artefact) -> int | None:
    """The most words of thought that the samples of these answers have; None where they are without."""
    return responses.manifest.get("config", {}).get(REASONING_WORDS)


def answered_before(store: ArtefactStore, generated: Artefact) -> Artefact | None:
    """The latest answers to these very instructions, with or without thoughts: the ledger has what they have."""
    arm, inputs = arm_of(generated.manifest["asset_key"]), responses_inputs(generated)
    made = store.all_of(arm.responses, generated.manifest["partition_key"])
    return next((answers for answers in reversed(made) if answers.manifest["inputs"] == inputs), None)


def refuse_unanswered(store: ArtefactStore, generated: Artefact) -> None:
    """Raises NothingToRetry where a generation was never answered, so that no answer failed.

    Answers to the same generation before its own failed queries were asked again are enough: what those brought
    is to be answered, too.
    """
    partition_key, manifest = generated.manifest["partition_key"], read_manifest(generated)
    arm = arm_of(generated.manifest["asset_key"])
    for responses in store.all_of(arm.responses, partition_key):
        with suppress(ArtefactMissing):
            if read_manifest(generated_for(store, responses)) == manifest:
                return
    raise NothingToRetry(
        f"the answers of generation {partition_key} were never finished, so none of them failed: materialise"
        f" {arm.responses} for it to ask for them"
    )


def retried_settings(store: ArtefactStore, generated: Artefact, wanted: Mapping[str, int]) -> dict[str, int]:
    """What decided the current answers to a generation, which their retry keeps; `wanted` is what a run says of it.

    Raises NothingToRetry where the run says otherwise.
    """
    arm, partition_key = arm_of(generated.manifest["asset_key"]), generated.manifest["partition_key"]
    kept: dict[str, int] = store.current(arm.responses, partition_key).manifest.get("config", {})
    if wanted and wanted != kept:
        made_with = ", ".join(f"{name}: {value}" for name, value in kept.items()) or "answers: 1, no reasoning"
        raise NothingToRetry(
            f"`only_failed` asks again for the answers of generation {partition_key} as they were made ({made_with}):"
            f" leave out {', '.join(wanted)} with it, or run without `only_failed`"
        )
    return kept


def answering_of(generated: Artefact, answers: int = 1, reasoning_words: int | None = None) -> Answering:
    """How a generation is answered: so many `answers` each, their thoughts kept up to so many words or left out."""
    manifest = read_manifest(generated)
    return Answering(dict(manifest.replicas), manifest.partition_key, answers, reasoning_words)


def answer_generation(
    folder: Path,
    run_id: str,
    generated: Artefact,
    work: Answering,
    answering: AbstractAsyncContextManager[Worker[Accepted, Sample]],
    *,
    width: int,
    paid_before: int | None,
    log: Callable[[str], None],
) -> None:
    """Have every accepted instruction of a generation answered; write the samples and the prompts into `folder`.

    Args:
        folder: Where the tables `samples`, `prompt_templates` and, of several answers, `sample_answers` are written.
        run_id: The run that each row names.
        generated: The generation's instructions, of either arm.
        work: How they are answered, as `answering_of` says.
        answering: Opens who has them answered, by `answer_worker`.
        width: Queries that may be under way at once.
        paid_before: Nano-dollars that the generation's rewrites and reviews cost, which the price of a pair includes;
            None: not known.
        log: Told of the progress.
    """
    loop.run(_record(folder, run_id, generated, work, answering, width, paid_before, log))
    write_prompts(folder, run_id)


async def _record(
    folder: Path,
    run_id: str,
    generated: Artefact,
    work: Answering,
    answering: AbstractAsyncContextManager[Worker[Accepted, Sample]],
    width: int,
    paid_before: int | None,
    log: Callable[[str], None],
) -> None:
    total = generated.read_facts(GenerationFacts).accepted
    async with (
        answering as worker,
        Progress(total, "answers", worker.tallies, log, each="a kept pair", paid_before=paid_before) as progress,
    ):
        with ExitStack() as tables:
            samples = tables.enter_context(TableWriter(folder, "samples"))
            given = tables.enter_context(TableWriter(folder, ANSWERS)) if work.answers > 1 else None
            at_once = max(1, width // work.answers)
            async for sample in in_order(worker.call, accepted_of(generated), at_once):
                samples.write([sample.row() | {"run_id": run_id}])
                if given is not None:
                    given.write([row | {"run_id": run_id} for row in sample.answer_rows()])
                progress.done(sample.accepted)


def responses_content(folder: Path, generated: Artefact) -> str:
    """The data version of the answers in `folder`: another for another target, which the dataset is made for.

    Where several answers were asked for, all of them are in it.
    """
    content, target = content_of(folder / "samples.parquet"), generated.read_facts(GenerationFacts).target_samples
    given = folder / f"{ANSWERS}.parquet"
    if given.is_file():
        content = content_hash("answers", content, content_of(given))
    return content if target is None else content_hash("to a target", content, target)


def response_facts(folder: Path, generated: Artefact, outcomes: Mapping[str, dict[str, Any]]) -> ResponseFacts:
    """What came of the answers in `folder`; `outcomes` are those of their queries on the ledger, by purpose.

    Raises NothingAnswered where every query failed.
    """
    rows = Counter(
        (row["reason"], row["accepted"], row["reasoning"] is not None)
        for row in iterate_rows(folder / "samples.parquet", AT_ONCE, ["accepted", "reason", "reasoning"])
    )
    reasons, refused = Counter[str | None](), dict[str, int]()
    for (reason, accepted, _), count in rows.items():
        reasons[reason] += count
        if not accepted:
            refused[reason] = refused.get(reason, 0) + count
    given = folder / f"{ANSWERS}.parquet"
    asked = Counter(row["reason"] for row in iterate_rows(given, AT_ONCE, ["reason"])) if given.is_file() else reasons
    failed = {reason: count for reason, count in asked.items() if reason and reason.startswith(NO_ANSWER)}
    unanswered = sum(failed.values())
    if failed and unanswered == asked.total():
        refuse_silence(Silence(Role.EXPERT, unanswered, next(iter(failed)).removeprefix(NO_ANSWER)), at_least=1)
    return ResponseFacts(
        samples=rows.total(),
        kept=rows.total() - sum(refused.values()),
        refused=refused,
        unanswered=unanswered,
        reasoned=sum(count for (_, accepted, thought), count in rows.items() if accepted and thought),
        target_samples=generated.read_facts(GenerationFacts).target_samples,
        outcomes=dict(outcomes),
    )
