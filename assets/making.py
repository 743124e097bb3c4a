"""How every asset is made: look for the output of the same inputs, configuration and code; make it only when absent."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from pydantic import Field

from resources.stores import Artefact, ArtefactStore, Draft, fingerprint

OWNERS = ["team:data"]

UNANSWERED = "unanswered"
"""The fact that counts questions that failed for good: an output that has some is made again when asked for."""

DIGITS = 4
"""Decimals that the UI shows; artefacts keep all of them."""


class NothingAnswered(RuntimeError):
    """A step that asked, and got no answer at all."""


class AssetConfig(dg.Config):
    """Run configuration that every asset understands."""

    force: bool = Field(default=False, description="Make the output again although one for the same inputs exists.")


def make_or_reuse(
    context: dg.AssetExecutionContext,
    store: ArtefactStore,
    *,
    config: AssetConfig,
    settings: Mapping[str, Any] | None = None,
    inputs: Mapping[str, str],
    make: Callable[[Draft], None],
    show: Callable[[Artefact], Mapping[str, Any]],
    resume: bool = False,
    published: Callable[[], None] | None = None,
) -> dg.MaterializeResult:
    """Materialise the asset of `context`.

    `inputs` maps what the output is made from to versions; with `settings` (by default the whole of `config`) and the
    asset's code version they name the output. `make` fills a draft and finishes it; `show` turns the output, new or
    reused, into Dagster metadata. With `resume`, `make` finds what an interrupted run left in the draft's folder.
    `published` is called once the output is in its place.
    """
    asset_key = context.asset_key.to_user_string()
    partition_key = context.partition_key if context.assets_def.partitions_def else None
    code_version = context.assets_def.code_versions_by_key[context.asset_key] or "0"
    if settings is None:
        settings = config.model_dump(mode="json", exclude={"force"})
    name = fingerprint(asset_key, code_version, settings, inputs)
    with store.turn(asset_key, partition_key, waiting=context.log.info):
        artefact = None if config.force else _reusable(store.find(asset_key, name, partition_key), context)
        reused = artefact is not None
        if artefact is None:
            about = {
                "code_version": code_version,
                "config": dict(settings),
                "inputs": dict(inputs),
                "run_id": context.run.run_id,
                "made_at": datetime.now(UTC).isoformat(timespec="microseconds"),
            }
            with store.writing(asset_key, name, partition_key, about=about, resume=resume) as draft:
                make(draft)
            artefact = store.current(asset_key, partition_key)
        else:
            context.log.info(f"unchanged: the output of {artefact.manifest['made_at'][:19]} is reused")
            store.select(artefact)
    if published is not None:
        published()
    shown = {
        name: round(value, DIGITS) if isinstance(value, float) else value for name, value in show(artefact).items()
    }
    metadata = {**shown, "reused": reused, "folder": dg.MetadataValue.path(str(artefact.folder))}
    return dg.MaterializeResult(metadata=metadata, data_version=dg.DataVersion(artefact.data_version))


def _reusable(artefact: Artefact | None, context: dg.AssetExecutionContext) -> Artefact | None:
    """An output is reused unless questions stayed unanswered in it: those are asked again, the others are not."""
    if artefact is not None and (unanswered := artefact.facts.get(UNANSWERED, 0)):
        context.log.info(f"{unanswered} questions got no answer when this was made: asking them again")
        return None
    return artefact


def refuse_silence(facts: dict[str, Any], asked: str, unanswered: int) -> None:
    """A step whose every question failed has made nothing. Raises NothingAnswered."""
    if unanswered and unanswered >= facts[asked]:
        raise NothingAnswered(
            f"none of {unanswered} questions got an answer; the ledger (llm_calls.error_kind, error_detail) says why."
            " Make the models reachable and run the same step again: what was answered is kept"
        )
