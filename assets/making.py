"""What is left of the earlier way to materialise an asset."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from assets.columns import lineage_of
from assets.materialize import DIGITS, AssetConfig, output_of, reusable
from teams_dagster.store.artefact_store import Artefact, ArtefactStore, Draft
from teams_dagster.store.facts.base import UNANSWERED


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
