"""What a run of the paid assets would ask, given what is stored: the walk behind `teams estimate`. Writes nothing."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assets.evaluation.config import JudgeConfig
from assets.evaluation.judged_win_rate import judged_win_rate
from assets.materialize import AssetConfig, output_of, reusable
from assets.policy.config import ComparisonSettings, PolicyConfig
from assets.policy.policy_comparison import policy_comparison
from assets.policy.trained_policy import find_student, trained_policy
from assets.preflight import tried_first
from assets.rlgf.config import RLGFSettings
from assets.rlgf.rlgf_model import plan_training, rlgf_model
from assets.seeds import seed_instructions
from resources.language_models.opening import as_configured
from resources.language_models.roles import LanguageModels
from resources.ledger import LedgerConnection
from teams_dagster.automation.generation_steps import GenerationSteps, PlannedRun, Step
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.protocol import Purpose, Role
from teams_dagster.dataset.sample import Example
from teams_dagster.dataset.scoring import SCORES
from teams_dagster.dataset.stored import read_examples
from teams_dagster.evaluation.judged_answers import judging_inputs
from teams_dagster.evaluation.judging_forecast import judging_questions
from teams_dagster.instructions.seed_splits import HELD_OUT_FROM, seed_clusters
from teams_dagster.instructions.seeds import Seed
from teams_dagster.instructions.stored_seeds import (
    project_seeds,
    read_clusters,
    read_seeds,
    seed_inputs,
    seed_sources,
)
from teams_dagster.ledger.budgets import Spent
from teams_dagster.ledger.costs import existing_ledger
from teams_dagster.ledger.writer import Ledger
from teams_dagster.policy.checkpoint import divide, load_policy, policy_inputs
from teams_dagster.policy.comparison.forecast import comparison_questions
from teams_dagster.policy.comparison.stored import comparison_inputs
from teams_dagster.policy.query_forecast import training_questions
from teams_dagster.policy.reader.reading import BaseNotGiven
from teams_dagster.pricing.forecast import Estimate, QueryForecast, estimate
from teams_dagster.pricing.paid_assets import BATCHED, RLGF_PAID
from teams_dagster.pricing.prices import PriceTable, load_prices
from teams_dagster.settings import Settings
from teams_dagster.store.artefact_store import Artefact, ArtefactStore
from teams_dagster.store.kept_ledger import require_kept_ledger
from teams_dagster.student.stored import ADAPTERS


@dataclass(frozen=True)
class Walk:
    """The paid assets of a run that might be started, in their order.

    An asset that is not wanted is taken as it is stored; what would be made anew, before it exists, is not known, and
    neither is then what is made from it.
    """

    run: PlannedRun

    def steps(self) -> list[Step]:
        """The wanted paid assets in their order. Raises what the run would raise before its first query."""
        if set(RLGF_PAID) & set(self.run.wanted):
            return [self._rlgf()]
        seeds, generations = self._seeds(), GenerationSteps(self.run)
        library, clusters = _library(self.run.models) if seeds is None else (read_seeds(seeds), read_clusters(seeds))
        train, held_out = divide(library, clusters)
        policy, training = self._policy(seeds, train)
        comparing = self._comparison(seeds, policy, train, held_out)
        texts = [seed.instruction for seed in library]
        generated, generating, answering = generations.generation(seeds, policy, texts)
        if generated is not None:
            answering = generations.responses(generated)
        made = [step for step in (generating, answering) if step.asset_key in self.run.wanted]
        coming = [kind for step in made for kind in step.expected if kind.most and kind.purpose is Purpose.RESPOND]
        rated = any(kind.purpose is Purpose.RATE for kind in generating.expected)
        scoring = Step(SCORES, (), False) if rated else generations.scoring(coming, texts)
        judging = self._judging(coming, library)
        steps = (training, comparing, generating, answering, scoring, judging, *generations.uniform())
        return [step for step in steps if step.asset_key in self.run.wanted]

    def _rlgf(self) -> Step:
        from teams_dagster.evaluation.rlgf.forecast import queries_on  # imports torch

        config = RLGFSettings(**self.run.configs.get("rlgf_model", {}))
        planned = plan_training(config, self.run.store, self.run.models)
        output = output_of(rlgf_model, config, planned.inputs, settings=config.deciding)
        made = reusable(config, output.earlier(self.run.store))
        expected = [] if made else queries_on(planned.task, planned.training, config.roles)
        return Step("rlgf_model", tuple(expected), made is not None)

    def _seeds(self) -> Artefact | None:
        if "seed_instructions" not in self.run.wanted:
            return self.run.stored("seed_instructions")
        config = AssetConfig(**self.run.configs.get("seed_instructions", {}))
        output = output_of(seed_instructions, config, seed_inputs(*_seed_sources(self.run.models)))
        return reusable(config, output.earlier(self.run.store))

    def _policy(self, seeds: Artefact | None, train: dict[str, Instruction]) -> tuple[Artefact | None, Step]:
        config = PolicyConfig(**self.run.configs.get("trained_policy", {}))
        training, output = config.training(self.run.models.generation_prices), None
        made_now = "trained_policy" in self.run.wanted
        try:
            student = find_student(training, self.run.store)
        except BaseNotGiven:
            if made_now:  # the run would be refused
                raise
            student = None
        if seeds is not None and student is not None:
            training = student.training
            versions = student.inputs | self.run.models.versions(*training.roles)
            inputs = policy_inputs(seeds, training, versions, config.reference_version, student.folder)
            output = output_of(trained_policy, config, inputs, settings=training.model_dump(mode="json"))
        made = None if output is None else reusable(config, output.earlier(self.run.store))
        missing = self.run.models.probabilities_missing(training.reward)
        if missing is not None and made is None and made_now:
            raise missing
        tried = self.run.tried("trained_policy", Role.INSTRUCTOR)
        expected = [] if made else training_questions(self.run.store, train, training, output, tried)
        known = made if "trained_policy" in self.run.wanted else self.run.stored("trained_policy")
        return known, Step("trained_policy", tuple(expected), made is not None)

    def _comparison(
        self,
        seeds: Artefact | None,
        policy: Artefact | None,
        train: dict[str, Instruction],
        held_out: dict[str, Instruction],
    ) -> Step:
        config = ComparisonSettings(**self.run.configs.get("policy_comparison", {}))
        trained = PolicyConfig(**self.run.configs.get("trained_policy", {}))
        training, reference = (
            trained.training(self.run.models.generation_prices),
            bool(trained.reference_version),
        )
        if policy is not None:
            checkpoint = load_policy(policy)
            training, reference = checkpoint.config, checkpoint.origin.reference_version is not None
        plan, earlier = config.plan(training, self.run.models.identities(*training.roles), referenced=reference), None
        if seeds is not None and policy is not None:
            inputs = comparison_inputs(
                seeds,
                policy,
                self.run.models.versions(*plan.roles(training)),
                self.run.models.known_generation_prices(training.reward),
                plan,
            )
            earlier = output_of(policy_comparison, config, inputs, settings=plan.settings()).earlier(self.run.store)
        made = reusable(config, earlier)
        tried = self.run.tried("policy_comparison", Role.INSTRUCTOR)
        asked = comparison_questions(self.run.store, train, held_out, plan, training, policy, earlier, tried)
        expected = [] if made else asked
        return Step("policy_comparison", tuple(expected), made is not None)

    def _judging(self, coming: Sequence[QueryForecast], library: list[Seed]) -> Step:
        """The models are taken as they are stored, unless new answers are to come: what learns from these is new."""
        if "judged_win_rate" not in self.run.wanted:
            return Step("judged_win_rate", (), False)
        config = JudgeConfig(**self.run.configs.get("judged_win_rate", {}))
        dataset, earlier = self.run.stored("instruction_dataset"), None
        names = {name: f"{name}_model" for name in ("base", *ADAPTERS)}
        students = {name: stored for name, key in names.items() if (stored := self.run.stored(key)) is not None}
        if dataset is not None and students.keys() == names.keys() and not coming:
            inputs = judging_inputs(students, dataset, self.run.models.versions(Role.JUDGE))
            earlier = output_of(judged_win_rate, config, inputs).earlier(self.run.store)
            if reusable(config, earlier) is not None:
                return Step("judged_win_rate", (), True)
        held_out = read_examples(dataset, "held_out") if dataset is not None else []
        counts = [len(held_out)] * 3
        for kind in coming:  # of the answers to come about as many are held out as seeds are; at most all of them
            share = 1 - HELD_OUT_FROM
            more = (int(share * kind.least), round(share * kind.likely), kind.most)
            counts = [count + new for count, new in zip(counts, more, strict=True)]
        like = held_out or [Example(seed.seed_id, seed.seed_id, seed.instruction, seed.response) for seed in library]
        expected = judging_questions(config.questions, config.max_new_tokens, counts, like, earlier)
        return Step("judged_win_rate", tuple(expected), False)


@dataclass(frozen=True)
class RunEstimate:
    """What a run would ask and take."""

    steps: tuple[tuple[str, Estimate, bool], ...]
    """Each paid asset, its estimate, and whether its output exists already."""
    total: Estimate
    roles: tuple[Role, ...]
    """Who would be asked."""
    spent: Spent
    """What this project may have been billed for so far."""
    preflight: Estimate | None = None
    """What is asked before all that, to try the roles that were not tried yet; None where none has to be."""


def estimate_run(
    settings: Settings, partition_key: str, configs: Mapping[str, Mapping[str, Any]], wanted: Collection[str]
) -> RunEstimate:
    """Estimate a run of the assets `wanted`, given run configuration by asset. Raises what the run would raise."""
    root, store = str(settings.root), ArtefactStore(str(settings.data_dir), settings.artefacts_url)
    store.synchronise()
    models = LanguageModels(root=root, ledger=LedgerConnection(root=root, store=store))
    steps = Walk(PlannedRun(store, models, partition_key, configs, wanted)).steps()
    everything = [kind for step in steps for kind in step.expected]
    roles = tuple(role for role in Role if any(kind.role is role and kind.most for kind in everything))
    identities, prices = models.identities(*roles), load_prices(settings.prices)
    batched = [role for role in roles if settings.role(role).transport == "batch"]
    require_kept_ledger(settings.ledger_url, settings.data_dir)
    with existing_ledger(settings.ledger_url) as ledger:

        def estimated(steps: Sequence[Step], *, batches: bool) -> Estimate:
            expected = as_configured([kind for step in steps for kind in step.expected], settings)
            return estimate(ledger, expected, identities, prices, batched=batched if batches else ())

        at_once, in_batches = ([s for s in steps if (s.asset_key in BATCHED) is batches] for batches in (False, True))
        found = tuple((s.asset_key, estimated([s], batches=s.asset_key in BATCHED), s.reused) for s in steps)
        total = (
            estimated(at_once, batches=False) + estimated(in_batches, batches=True)
            if batched
            else estimated(steps, batches=False)
        )
        ratings = any(kind.purpose is Purpose.RATE and kind.most for kind in everything)
        preflight = _preflight(ledger, models, roles, prices, ratings=ratings)
        return RunEstimate(found, total, roles, ledger.spent() if ledger else Spent(), preflight)


def _preflight(
    ledger: Ledger | None, models: LanguageModels, roles: Sequence[Role], prices: PriceTable, *, ratings: bool
) -> Estimate | None:
    expected = [kind for plan in tried_first(models, roles, ratings=ratings) for kind in plan.forecasts()]
    if not expected:
        return None
    return estimate(ledger, expected, models.identities(*{kind.role for kind in expected}), prices)


def _library(models: LanguageModels) -> tuple[list[Seed], dict[str, str]]:
    """The seeds that are configured, read anew, and the cluster of each."""
    path, evaluation_texts = _seed_sources(models)
    seeds = list(project_seeds(path, evaluation_texts).seeds)
    return seeds, seed_clusters(seeds)


def _seed_sources(models: LanguageModels) -> tuple[Path, list[str]]:
    settings = models.settings()
    return seed_sources(settings.seeds, settings.evaluation_sets)
