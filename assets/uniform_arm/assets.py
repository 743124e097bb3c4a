"""The uniform arm from its generation to its adapter: the trained policy's line, walked without a trained policy."""

import dagster as dg

from assets.arms import materialize_dataset, materialize_responses
from assets.columns import (
    UNIFORM_ADAPTER,
    UNIFORM_DATASET,
    UNIFORM_SAMPLES,
    UNIFORM_TRANSITIONS,
    dataset_columns,
    table_columns,
)
from assets.dataset.config import ResponsesConfig
from assets.materialize import OWNERS, AssetConfig, materialization
from assets.models.adapters import train_adapter
from assets.models.config import AdapterSettings
from assets.partitions import GENERATIONS
from assets.pools import GPU, LANGUAGE_MODELS, ON_GPU
from assets.preflight import preflight_of
from resources.language_models.roles import LanguageModels
from resources.language_models.side_by_side import working
from resources.ledger import LedgerConnection
from teams_dagster.dataset.arms import UNIFORM_ARM
from teams_dagster.dataset.generation_facts import generation_facts
from teams_dagster.dataset.manifests import ROLES, check_as_begun
from teams_dagster.dataset.pair_costs import pair_costs
from teams_dagster.dataset.playing import GenerationWork, generation_reward, play_generation
from teams_dagster.dataset.uniform import (
    generation_beside,
    seeds_line,
    uniform_playing,
    uniform_questions,
    uniform_worker,
)
from teams_dagster.environment.episodes import open_episodes_for
from teams_dagster.environment.recording import content_of
from teams_dagster.llm.context import CallContext
from teams_dagster.report.preview_dataset import generation_preview
from teams_dagster.store.artefact_store import Artefact, ArtefactStore
from teams_dagster.store.facts.dataset import GenerationFacts
from teams_dagster.store.facts.models import AdapterFacts


@dg.asset(
    group_name="uniform_arm",
    deps=["generated_instructions"],
    partitions_def=GENERATIONS,
    kinds={"openai", "parquet"},
    owners=OWNERS,
    metadata=table_columns("transitions", UNIFORM_TRANSITIONS),
    code_version="1",
    pool=LANGUAGE_MODELS,
    description="The operations drawn uniformly in the place of the trained policy, from the same seeds with the"
    " same models, prompts, reward and pool, until as many queries are asked as its generation asked.",
)
def uniform_instructions(
    context: dg.AssetExecutionContext,
    config: AssetConfig,
    store: dg.ResourceParam[ArtefactStore],
    models: LanguageModels,
) -> dg.MaterializeResult:
    """Play uniform beside the trained policy's generation of the same week, which must exist."""
    partition, log = context.partition_key, context.log.info
    beside = generation_beside(store, partition)
    inputs = beside.inputs
    with materialization(context, store, config=config, settings={}, inputs=inputs, publish=models.publish) as made:
        if made.draft is not None:
            check_as_begun(beside.manifest, models.found_out(*ROLES))
            models.check_reward(generation_reward(store, beside.trained))
            made.preflight = preflight_of(context, models, *ROLES)
            where = CallContext(context.run.run_id, "uniform_instructions", partition)
            expected = uniform_questions(store, beside, made.output.earlier(store))
            width = models.at_once(*ROLES, direct=open_episodes_for(models.settings().max_in_flight))
            work = GenerationWork(store, beside.trained)
            players = working(models, uniform_worker, work, where, *ROLES, expected=expected, width=width, log=log)
            play_generation(made.folder, where.run_id, uniform_playing(store, beside), players, width=width, log=log)
            facts = generation_facts(made.folder, models.outcomes(where))
            made.finish(content_of(made.folder / "transitions.parquet"), facts)
    asked = {"questions_of_trained": beside.questions}
    trained = store.current("generated_instructions", partition)
    with models.ledger.open() as ledger:
        return made.result(
            GenerationFacts,
            lambda made: {
                **generation_preview(made, pair_costs(ledger, made)),
                **asked,
                "seeds": seeds_line(store, made, trained),
            },
        )


@dg.asset(
    group_name="uniform_arm",
    deps=["uniform_instructions"],
    partitions_def=GENERATIONS,
    kinds={"openai", "parquet"},
    owners=OWNERS,
    metadata=table_columns("samples", UNIFORM_SAMPLES),
    code_version="2",
    pool=LANGUAGE_MODELS,
    description="The expert's answer to every accepted instruction of the uniform arm.",
)
def uniform_responses(
    context: dg.AssetExecutionContext,
    config: ResponsesConfig,
    store: dg.ResourceParam[ArtefactStore],
    models: LanguageModels,
) -> dg.MaterializeResult:
    """Ask the expert to answer each accepted instruction of the arm's generation."""
    return materialize_responses(context, config, store, models, UNIFORM_ARM)


@dg.asset(
    group_name="uniform_arm",
    deps=[dg.AssetDep("uniform_responses", partition_mapping=dg.LastPartitionMapping())],
    kinds={"huggingface", "parquet"},
    owners=OWNERS,
    metadata=dataset_columns(UNIFORM_DATASET),
    code_version="4",
    description="The samples of the uniform arm's generations, curated and split by the same rules: a seed is on the"
    " same side as in instruction_dataset. A folder and a card of its own.",
)
def uniform_dataset(
    context: dg.AssetExecutionContext,
    config: AssetConfig,
    store: dg.ResourceParam[ArtefactStore],
    models: LanguageModels,
    ledger: LedgerConnection,
) -> dg.MaterializeResult:
    """Read every generation that the arm has."""
    return materialize_dataset(context, config, store, models, ledger, UNIFORM_ARM)


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
