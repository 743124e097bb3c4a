"""The uniform arm's adapter: trained as `lora_model` was, on the arm's dataset."""

import dagster as dg

from assets.columns import UNIFORM_ADAPTER, table_columns
from assets.materialize import OWNERS, AssetConfig
from assets.models.adapters import train_adapter
from assets.models.config import AdapterSettings
from assets.pools import GPU, ON_GPU
from teams_dagster.dataset.arms import UNIFORM_ARM
from teams_dagster.store.artefact_store import Artefact, ArtefactStore
from teams_dagster.store.facts.models import AdapterFacts


@dg.asset(
    group_name="uniform_arm",
    deps=["base_model", "lora_model", "uniform_dataset"],
    kinds={"huggingface", "torch"},
    owners=OWNERS,
    metadata=table_columns("models", UNIFORM_ADAPTER),
    code_version="1",
    op_tags=ON_GPU,
    pool=GPU,
    description="A LoRA adapter of the same base with lora_model's settings, seed and number of updates, trained on the"
    " uniform arm's dataset.",
)
def lora_uniform(
    context: dg.AssetExecutionContext, config: AssetConfig, store: dg.ResourceParam[ArtefactStore]
) -> dg.MaterializeResult:
    """Train the arm's adapter. Settings are those of the current lora_model, which has to be there."""
    lora = store.current("lora_model")
    settings = settings_of(lora).model_copy(update={"force": config.force})
    stop_after = stopped_at(lora)
    made = train_adapter(context, settings, store, "lora", UNIFORM_ARM, listed_as="lora_uniform", stop_after=stop_after)
    sizes = _sizes(lora, store.current("lora_uniform"))
    if sizes:
        context.log.warning(sizes)
    return made._replace(metadata={**(made.metadata or {}), **({"sizes": sizes} if sizes else {})})


def settings_of(lora: Artefact) -> AdapterSettings:
    """How `lora_model` was trained, its epochs replaced by the updates that it planned: its learning rates."""
    return AdapterSettings(**lora.manifest["config"] | {"max_steps": lora.read_facts(AdapterFacts).planned_updates})


def stopped_at(lora: Artefact) -> int | None:
    """The update at which `lora_model` stopped early; None where it made all that it planned."""
    facts = lora.read_facts(AdapterFacts)
    return facts.updates if facts.updates < facts.planned_updates else None


def _sizes(lora: Artefact, uniform: Artefact) -> str:
    """What to say of training sides or trainings of different sizes; empty where they are the same."""
    own, theirs = lora.read_facts(AdapterFacts), uniform.read_facts(AdapterFacts)
    figures = [("examples", own.examples, theirs.examples), ("updates", own.updates, theirs.updates)]
    said = [f"{arm} {name} where lora_model had {main}" for name, main, arm in figures if main != arm]
    return f"lora_uniform was trained with {' and '.join(said)}: a part of any difference may be that" if said else ""
