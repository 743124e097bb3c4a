"""What the assets of both arms do alike: each arm's own module has the definition, and hands over its arm."""

from functools import cache, partial

import dagster as dg

from assets.dataset.config import ResponsesConfig
from assets.materialize import AssetConfig, materialization
from assets.preflight import preflight_of
from resources.language_models.roles import LanguageModels
from resources.language_models.side_by_side import working
from resources.ledger import LedgerConnection
from teams_dagster.core.protocol import Role
from teams_dagster.dataset.answers import answer_worker
from teams_dagster.dataset.arms import Arm
from teams_dagster.dataset.building import MIN_SCORE, build_dataset, dataset_sources
from teams_dagster.dataset.manifests import ROLES, check_as_begun, read_manifest
from teams_dagster.dataset.pair_costs import pair_costs
from teams_dagster.dataset.pairs import load_pairs
from teams_dagster.dataset.query_forecast import response_questions
from teams_dagster.dataset.responses import (
    REASONING_WORDS,
    answer_generation,
    answered_before,
    answering_of,
    refuse_unanswered,
    response_facts,
    responses_content,
    retried_settings,
)
from teams_dagster.dataset.stored import ANSWERS_EACH, answers_settings, responses_inputs
from teams_dagster.llm.engine import CallContext
from teams_dagster.llm.ordered import AHEAD
from teams_dagster.report.preview_dataset import dataset_preview, responses_preview
from teams_dagster.store.artefact_store import Artefact, ArtefactStore
from teams_dagster.store.facts.dataset import DatasetFacts, ResponseFacts


def materialize_responses(
    context: dg.AssetExecutionContext,
    config: ResponsesConfig,
    store: ArtefactStore,
    models: LanguageModels,
    arm: Arm,
    answers: int = 1,
) -> dg.MaterializeResult:
    """Have the expert answer each accepted instruction of the arm's generation in the partition of `context`.

    Each is given so many `answers`.
    """
    partition, log = context.partition_key, context.log.info
    generated = store.current(arm.instructions, partition)
    settings = config.deciding | answers_settings(answers)
    if config.only_failed:
        refuse_unanswered(store, generated)
        settings = retried_settings(store, generated, settings)
    answers = settings.get(ANSWERS_EACH, 1)
    inputs = responses_inputs(generated)
    with materialization(
        context, store, config=config, settings=settings, inputs=inputs, publish=models.publish
    ) as made:
        if made.draft is not None:
            check_as_begun(read_manifest(generated), models.found_out(*ROLES))
            made.preflight = preflight_of(context, models, Role.EXPERT)
            where = CallContext(context.run.run_id, arm.responses, partition)
            earlier = made.output.earlier(store) or answered_before(store, generated)
            expected = response_questions(generated, earlier, answers)
            width = models.at_once(Role.EXPERT, direct=AHEAD * models.settings().max_in_flight)
            work = answering_of(generated, answers, settings.get(REASONING_WORDS))
            answering = working(
                models, answer_worker, work, where, Role.EXPERT, expected=expected, width=width, log=log
            )
            answer_generation(
                made.folder,
                where.run_id,
                generated,
                work,
                answering,
                width=width,
                paid_before=_paid_for(models, generated),
                log=log,
            )
            facts = response_facts(made.folder, generated, models.outcomes(where))
            made.finish(responses_content(made.folder, generated), facts)
    with models.ledger.open() as ledger:
        return made.result(
            ResponseFacts, lambda responses: responses_preview(responses, pair_costs(ledger, generated, responses))
        )


def _paid_for(models: LanguageModels, generated: Artefact) -> int | None:
    """Nano-dollars that a generation's rewrites and reviews cost; None where a price is not known."""
    with models.ledger.open() as ledger:
        paid = pair_costs(ledger, generated).total
    return None if paid.unpriced else paid.nano_usd


def materialize_dataset(
    context: dg.AssetExecutionContext,
    config: AssetConfig,
    store: ArtefactStore,
    models: LanguageModels,
    ledger: LedgerConnection,
    arm: Arm,
    min_score: float = 0.0,
) -> dg.MaterializeResult:
    """Curate and split every generation of the arm that has answers, whatever the partition of the run.

    With TEAMS_PAIRS the trained arm's has what people wrote beside them, or instead. Pairs that score less than
    `min_score` are dropped; 0 drops none.
    """
    project = models.settings()
    pairs = load_pairs(project.pairs, instead=project.pairs_mode == "instead") if project.pairs else None
    sources = cache(lambda: dataset_sources(store, arm, project.evaluation_sets, pairs, min_score))
    deciding = {MIN_SCORE: min_score} if min_score else {}
    with materialization(context, store, config=config, settings=deciding, inputs=lambda: sources().inputs) as made:
        if made.draft is not None:
            with ledger.open() as opened:
                version, facts = build_dataset(
                    made.folder, context.run.run_id, sources(), store, opened, log=context.log.info
                )
            made.finish(version, facts)
    return made.result(DatasetFacts, partial(dataset_preview, store=store, answered=sources().answered))
