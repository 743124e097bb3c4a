"""A generation: the policy steers the expert over this week's seeds."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import dagster as dg

from assets.columns import TRANSITIONS, table_columns
from assets.dataset.config import GenerationConfig, counted_pairs
from assets.materialize import DATASET_FIRST, OWNERS, materialization, output_of
from assets.partitions import GENERATIONS
from assets.pools import LANGUAGE_MODELS
from assets.preflight import judge_faults, preflight_of, tried_episodes, tried_first
from resources.language_models.roles import LanguageModels
from resources.language_models.side_by_side import working
from teams_dagster.core.protocol import Role
from teams_dagster.dataset.arms import TRAINED_ARM
from teams_dagster.dataset.building import dataset_sources, kept_counter
from teams_dagster.dataset.gating import refuse_faulty_judge
from teams_dagster.dataset.generation import GenerationManifest, check_judge
from teams_dagster.dataset.generation_facts import generation_content, generation_facts
from teams_dagster.dataset.manifests import (
    ROLES,
    begin_generation,
    check_as_begun,
    kept_from_before,
    refuse_unfinished,
)
from teams_dagster.dataset.pair_costs import pair_costs
from teams_dagster.dataset.pair_settings import PairSettings
from teams_dagster.dataset.pairs import load_pairs
from teams_dagster.dataset.playing import (
    GenerationWork,
    episode_worker,
    generation_inputs,
    generation_reward,
    play_generation,
    trained_playing,
)
from teams_dagster.dataset.playing_to_target import TargetSources, facts_to_target, play_to_target, target_worker
from teams_dagster.dataset.query_forecast import (
    LEAST_EPISODES,
    answers_to_come,
    begun_generation_questions,
    begun_target_questions,
    episodes_asked,
)
from teams_dagster.dataset.scoring import judge_named
from teams_dagster.dataset.steering import policy_title
from teams_dagster.environment.episodes import open_episodes_for
from teams_dagster.llm.context import CallContext
from teams_dagster.pricing.forecast import QueryForecast
from teams_dagster.report.preview_dataset import generation_preview
from teams_dagster.store.artefact_store import Artefact, ArtefactStore
from teams_dagster.store.facts.dataset import GenerationFacts


@dg.asset(
    group_name="dataset",
    deps=["seed_instructions", "trained_policy"],
    partitions_def=GENERATIONS,
    kinds={"openai", "parquet"},
    owners=OWNERS,
    op_tags=DATASET_FIRST,
    metadata=table_columns("transitions", TRANSITIONS),
    code_version="1",
    pool=LANGUAGE_MODELS,
    description="The policy steering the expert over this generation's seeds: every transition, accepted or not.",
)
def generated_instructions(
    context: dg.AssetExecutionContext,
    config: GenerationConfig,
    store: dg.ResourceParam[ArtefactStore],
    models: LanguageModels,
) -> dg.MaterializeResult:
    """Run one episode from each seed of the generation, or episodes to its target.

    Made again, it follows its manifest and asks nothing anew.
    """
    partition, log = context.partition_key, context.log.info
    settings = config.settings(models.settings().seed_rotation_weeks, _counted(context, config, store, models))
    where = CallContext(context.run.run_id, "generated_instructions", partition)
    identities = partial(models.found_out, *ROLES)

    def check(begun: GenerationManifest) -> None:
        models.check_reward(generation_reward(store, begun))
        _check_budget(where, store, models, begun, _trial(models, begun.counted))
        _try(context, models, begun.counted)
        _check_budget(where, store, models, begun)  # by what the trial found out

    with store.turn("generated_instructions", waiting=log):
        manifest = begin_generation(store, partition, settings, identities, log=log, check=check)
    inputs = generation_inputs(manifest)
    output = output_of(context.assets_def, config, inputs, settings={}, partition_key=partition)
    refuse_unfinished(settings, manifest, output.earlier(store))
    note = kept_from_before(store, manifest, settings)
    if note:
        context.log.warning(note)
    with materialization(context, store, config=config, settings={}, inputs=inputs, publish=models.publish) as made:
        if made.draft is not None:
            check_as_begun(manifest, models.found_out(*ROLES))
            if manifest.counted.asks_judge:
                check_judge(manifest, _judge(models))
            models.check_reward(generation_reward(store, manifest))
            made.preflight = _try(context, models, manifest.counted)
            facts = _play(made.folder, where, store, models, manifest, output.earlier(store), log)
            made.finish(generation_content(made.folder, manifest), facts)
    forced = ", under the paper's forced schedule" if manifest.forced_schedule else ""
    noted = {"policy": policy_title(manifest.policy_version) + forced, **({"note": note} if note else {})}
    with models.ledger.open() as ledger:
        return made.result(
            GenerationFacts, lambda made: {**generation_preview(made, pair_costs(ledger, made)), **noted}
        )


def _counted(
    context: dg.AssetExecutionContext, config: GenerationConfig, store: ArtefactStore, models: LanguageModels
) -> PairSettings:
    """What a pair has to be to count towards the target, by what this run says of answers, scores and threshold."""
    ops = cast("Mapping[str, Mapping[str, Any]]", context.run.run_config.get("ops") or {})
    configs = {name: op.get("config") or {} for name, op in ops.items()}
    return counted_pairs(
        store,
        context.partition_key,
        config.target_samples,
        configs,
        pairs_mode=models.settings().pairs_mode,
        judge=partial(_judge, models),
    )


def _judge(models: LanguageModels) -> str:
    """Who rates, when it was found out how it can be asked."""
    models.found_out(Role.JUDGE)
    return judge_named(models.versions(Role.JUDGE))


def _asked(counted: PairSettings) -> tuple[Role, ...]:
    """Who is asked on the way."""
    return (*ROLES, Role.JUDGE) if counted.asks_judge else ROLES


def _trial(models: LanguageModels, counted: PairSettings) -> list[QueryForecast]:
    """What is asked before anything else, to try the roles that were not tried yet."""
    plans = tried_first(models, _asked(counted), ratings=counted.asks_judge)
    return [kind for plan in plans for kind in plan.forecasts()]


def _check_budget(
    where: CallContext,
    store: ArtefactStore,
    models: LanguageModels,
    begun: GenerationManifest,
    before: Sequence[QueryForecast] = (),
) -> None:
    """Raises dagster.Failure where the budget likely pays no dataset and what is asked `before` it."""
    tried = tried_episodes(models, Role.EXPERT)
    if begun.target_samples is None:
        expected = [*begun_generation_questions(store, begun, None, tried), *answers_to_come(store, begun)]
    else:
        expected = episodes_asked(store, begun, LEAST_EPISODES, tried)
    models.check_budget(where, *_asked(begun.counted), expected=[*before, *expected])


def _try(context: dg.AssetExecutionContext, models: LanguageModels, counted: PairSettings) -> list[str]:
    """What the preflight of who is asked warns of. Raises JudgeCannotGate for a judge that may not drop a pair."""
    warnings = preflight_of(context, models, *_asked(counted), ratings=counted.asks_judge)
    if counted.asks_judge:
        refuse_faulty_judge(counted.min_score, judge_faults(models), "the judge")
    return warnings


def _play(
    folder: Path,
    where: CallContext,
    store: ArtefactStore,
    models: LanguageModels,
    manifest: GenerationManifest,
    earlier: Artefact | None,
    log: Callable[[str], None],
) -> GenerationFacts:
    """Play the generation into `folder`: each seed once, or to its target."""
    roles = _asked(manifest.counted)
    tried = tried_episodes(models, Role.EXPERT)
    width = models.at_once(*roles, direct=open_episodes_for(models.settings().max_in_flight))
    work = GenerationWork(store, manifest)
    if manifest.target_samples is None:
        expected = begun_generation_questions(store, manifest, earlier, tried)
        players = working(models, episode_worker, work, where, *ROLES, expected=expected, width=width, log=log)
        play_generation(folder, where.run_id, trained_playing(store, manifest), players, width=width, log=log)
        return generation_facts(folder, models.outcomes(where))
    settings = models.settings()
    pairs = load_pairs(settings.pairs, instead=settings.pairs_mode == "instead") if settings.pairs else None
    least, partition = manifest.counted.min_score, manifest.partition_key
    others = dataset_sources(store, TRAINED_ARM, settings.evaluation_sets, pairs, least, without=partition)

    def affordable(episodes: int) -> float:
        return models.times_affordable(where, *roles, expected=episodes_asked(store, manifest, episodes, tried))

    sources = TargetSources(kept_counter(others, log), affordable)
    expected = begun_target_questions(store, manifest, tried)
    players = working(models, target_worker, work, where, *roles, expected=expected, width=width, log=log)
    ended = play_to_target(folder, where.run_id, store, manifest, sources, players, width=width, log=log)
    return facts_to_target(generation_facts(folder, models.outcomes(where)), manifest, ended)
