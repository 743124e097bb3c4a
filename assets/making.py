"""How every asset is made: look for the output of the same inputs, configuration and code; make it only when absent."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from assets.columns import lineage_of
from resources.stores import Artefact, ArtefactStore, Draft, fingerprint

OWNERS = ["team:data"]

DATASET_FIRST = {"dagster/priority": "2"}
"""Op tags of what a dataset takes, up to its lineage: nobody waits for scores to see the first samples."""

MODELS_NEXT = {"dagster/priority": "-1"}
"""Op tags of the students: after the dataset and its checks, some of which decide whether it goes on."""

COMPARED_LAST = {"dagster/priority": "-2"}
"""Op tags of what nothing else is made from."""

UNANSWERED = "unanswered"
"""The fact that counts questions that failed for good: an output that has some is made again when asked for."""

DIGITS = 4
"""Decimals that the UI shows; artefacts keep all of them."""


class NothingToRetry(ValueError):
    """An output that was never finished has no failed questions."""


class NothingAnswered(RuntimeError):
    """A step that asked, and got no answer at all."""


class AssetConfig(dg.Config):
    """Run configuration that every asset understands."""

    force: bool = Field(default=False, description="Make the output again although one for the same inputs exists.")


@dataclass(frozen=True)
class Output:
    """An output of an asset by what it is a function of, whether it was made yet or not."""

    asset_key: str
    partition_key: str | None
    code_version: str
    settings: Mapping[str, Any]
    inputs: Mapping[str, str]

    @property
    def name(self) -> str:
        """The fingerprint."""
        return fingerprint(self.asset_key, self.code_version, self.settings, self.inputs)

    def earlier(self, store: ArtefactStore) -> Artefact | None:
        """The same output, where it was made before."""
        return store.find(self.asset_key, self.name, self.partition_key)

    def unfinished(self, store: ArtefactStore) -> Path:
        """What an interrupted run left of it."""
        return store.unfinished(self.asset_key, self.name, self.partition_key)


def output_of(
    asset: dg.AssetsDefinition,
    config: AssetConfig,
    inputs: Mapping[str, str],
    *,
    settings: Mapping[str, Any] | None = None,
    partition_key: str | None = None,
) -> Output:
    """The output of `asset` for these inputs and settings (by default the whole of `config`)."""
    if settings is None:
        settings = config.model_dump(mode="json", exclude={"force"})
    version = asset.code_versions_by_key[asset.key] or "0"
    return Output(asset.key.to_user_string(), partition_key, version, dict(settings), dict(inputs))


def reusable(config: AssetConfig, earlier: Artefact | None) -> Artefact | None:
    """The output that would be reused: none when that is not wanted, or when questions stayed unanswered in it."""
    return None if config.force or earlier is None or earlier.facts.get(UNANSWERED, 0) else earlier


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
    `published` is called once the output is in its place, and also when `make` fails: what it asked can be read then.
    """
    partition_key = context.partition_key if context.assets_def.partitions_def else None
    output = output_of(context.assets_def, config, inputs, settings=settings, partition_key=partition_key)
    asset_key, name = output.asset_key, output.name
    with store.turn(asset_key, partition_key, waiting=context.log.info):
        earlier = output.earlier(store)
        artefact = reusable(config, earlier)
        reused = artefact is not None
        if artefact is None:
            if earlier and not config.force:
                context.log.info(
                    f"{earlier.facts[UNANSWERED]} questions got no answer when this was made: asking them again"
                )
            about = {
                "code_version": output.code_version,
                "config": dict(output.settings),
                "inputs": dict(inputs),
                "run_id": context.run.run_id,
                "made_at": datetime.now(UTC).isoformat(timespec="microseconds"),
            }
            with store.writing(asset_key, name, partition_key, about=about, resume=resume) as draft:
                _make(make, draft, published, context.log.warning)
            artefact = store.current(asset_key, partition_key)
        else:
            context.log.info(f"unchanged: the output of {artefact.manifest['made_at'][:19]} is reused")
            store.select(artefact)
    if published is not None:
        published()
    shown = {
        name: round(value, DIGITS) if isinstance(value, float) else value for name, value in show(artefact).items()
    }
    metadata = {
        **shown,
        **lineage_of(context.assets_def),
        "reused": reused,
        "folder": dg.MetadataValue.path(str(artefact.folder)),
    }
    return dg.MaterializeResult(metadata=metadata, data_version=dg.DataVersion(artefact.data_version))


def _make(
    make: Callable[[Draft], None],
    draft: Draft,
    published: Callable[[], None] | None,
    warn: Callable[[str], None],
) -> None:
    """Fill the draft. An error of `published` after one of `make` is logged, so that it does not hide the first."""
    try:
        make(draft)
    except Exception:
        if published is not None:
            try:
                published()
            except Exception as error:
                warn(f"the read model could not be brought up to date: {error}")
        raise


def refuse_silence(facts: dict[str, Any], asked: str, unanswered: int) -> None:
    """A step whose every question failed has made nothing. Raises NothingAnswered."""
    if unanswered and unanswered >= facts[asked]:
        raise NothingAnswered(
            f"none of {unanswered} questions got an answer; the ledger (llm_calls.error_kind, error_detail) says why."
            " Make the models reachable and run the same step again: what was answered is kept"
        )
