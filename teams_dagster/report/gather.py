"""Everything that the report shows, gathered from the artefacts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

from teams_dagster.dataset.scoring import SCORES
from teams_dagster.dataset.steering import untrained_name
from teams_dagster.dataset.stored import seeds_played
from teams_dagster.evaluation.judging import JUDGE_FILE
from teams_dagster.evaluation.rlgf.stored import read_stages
from teams_dagster.evaluation.stored import read_evaluation_scores, read_paper_table, read_privacy, read_win_rates
from teams_dagster.instructions.prompts import load_prompt, shipped_prompts
from teams_dagster.ledger.costs import Cost
from teams_dagster.ledger.traits import ServedRole
from teams_dagster.policy.baselines import UNIFORM
from teams_dagster.policy.checkpoint import load_policy
from teams_dagster.policy.comparison.stored import read_policy_scores
from teams_dagster.report import content
from teams_dagster.report.costs import pair_table, read_costs, read_pair_costs
from teams_dagster.report.dataset_results import MadeGeneration, dataset_results
from teams_dagster.store.artefact_store import Artefact, ArtefactStore
from teams_dagster.store.facts.accounting import CostFacts
from teams_dagster.store.facts.base import QueryFacts
from teams_dagster.store.facts.dataset import SeedFacts
from teams_dagster.store.facts.evaluation import WinRateFacts
from teams_dagster.store.facts.models import AdapterFacts, BaseFacts
from teams_dagster.store.facts.policy import ComparisonFacts, PolicyFacts
from teams_dagster.store.facts.rlgf import stages_table
from teams_dagster.student.stored import ADAPTERS, read_curve

Row = TypeVar("Row")

_POLICY_ASSETS = ("trained_policy", "policy_comparison")


def report_inputs(store: ArtefactStore) -> dict[str, str]:
    """What a report is made from: by its folder in the store, the version of each asset's current output."""
    return {
        artefact.folder.parent.relative_to(store.root).as_posix(): artefact.data_version
        for artefact, current in store.everything()
        if current and artefact.manifest["asset_key"] != "report"
    }


def gather(store: ArtefactStore, shared: Mapping[ServedRole, str]) -> content.Report:
    """Everything that the report shows, from the artefacts; `shared` are the ledger's roles that named no model.

    What was never made is left out: a dataset needs no policy, and nothing needs policies to be compared. Raises
    ArtefactMissing where there is no dataset, or no account of its queries.
    """
    generations = [MadeGeneration(store, partition) for partition in store.partitions("expert_responses")]
    policy = _policy_in_use(store, generations)
    spent = store.current("query_costs")
    costs = read_costs(spent)
    return content.Report(
        title="teams-dagster report",
        about=_about(store, generations, policy, shared),
        policy=content.PolicyResults() if policy is None else _policy(store, policy),
        dataset=dataset_results(store, generations, costs),
        models=_models(store),
        paper=tuple(_read(store, "paper_table", read_paper_table)),
        account=_account(spent, costs),
    )


def _if_made(store: ArtefactStore, asset_key: str) -> Artefact | None:
    return store.current(asset_key) if store.exists(asset_key) else None


def _read(store: ArtefactStore, asset_key: str, reader: Callable[[Artefact], Iterable[Row]]) -> Iterable[Row]:
    """What `reader` finds in an asset; nothing where it was never made."""
    made = _if_made(store, asset_key)
    return () if made is None else reader(made)


def _about(
    store: ArtefactStore,
    generations: list[MadeGeneration],
    policy: Artefact | None,
    shared: Mapping[ServedRole, str],
) -> content.About:
    base, judged = _if_made(store, "base_model"), _if_made(store, "judged_win_rate")
    student = None if base is None else base.read_facts(BaseFacts)
    manifests = [generation.manifest for generation in generations]
    libraries = [
        store.of_version("seed_instructions", version).read_facts(SeedFacts)
        for version in dict.fromkeys(manifest.seeds_version for manifest in manifests)
    ]
    models = list[content.RoleModel]()
    if policy is not None:
        instructor = policy.read_facts(PolicyFacts).instructor
        models.append(content.RoleModel("instructor", instructor.provider, instructor.model))
    if manifests:
        models += [content.RoleModel(role, model.provider, model.model) for role, model in manifests[-1].models]
    if judged is not None:
        judge = judged.read_facts(WinRateFacts).judge
        models.append(content.RoleModel("judge", judge.provider, judge.model))
    return content.About(
        dataset_version=store.current("instruction_dataset").data_version,
        policy_version=None if policy is None else policy.data_version,
        steered_by=untrained_name(manifests[-1].policy_version) if manifests else None,
        generations=tuple(generation.partition for generation in generations),
        seeds=len(seeds_played(*(generation.generated for generation in generations))),
        seeds_source=", ".join(f"{library.source} ({library.refused} rows refused)" for library in libraries),
        models=tuple(
            replace(model, named_by=shared.get(ServedRole(model.role, model.provider, model.model), ""))
            for model in models
        ),
        own_prompts=_own_prompts(policy, generations, judged),
        preflight=_preflight(policy, _if_made(store, "policy_comparison"), judged, generations),
        student="" if student is None else student.student,
        student_embedded=student is not None and student.embedded,
    )


def _own_prompts(
    policy: Artefact | None, generations: list[MadeGeneration], judged: Artefact | None
) -> tuple[tuple[str, str], ...]:
    """Name and version of every prompt that the policy, the latest generation or the judge used and that does not ship.

    Where two of them used different ones, the generation's counts.
    """
    used = {} if policy is None else dict(load_policy(policy).origin.prompt_versions)
    used |= dict(generations[-1].manifest.prompt_versions) if generations else {}
    if judged is not None:
        used["judge"] = judged.manifest["inputs"]["prompt of judge"]
    shipped = {prompt.name: prompt.version for prompt in (*shipped_prompts(), load_prompt(JUDGE_FILE))}
    return tuple((name, version) for name, version in sorted(used.items()) if shipped.get(name) != version)


def _preflight(
    policy: Artefact | None,
    comparison: Artefact | None,
    judged: Artefact | None,
    generations: list[MadeGeneration],
) -> tuple[str, ...]:
    """What preflights said of the roles that the policy, the generations and the judge asked, each sentence once."""
    asked = [policy, comparison, judged]
    asked += [artefact for made in generations for artefact in (made.generated, made.responses)]
    found = [each.read_facts(QueryFacts) for each in asked if each is not None]
    return tuple(dict.fromkeys(sentence for facts in found for sentence in facts.preflight))


def _policy_in_use(store: ArtefactStore, generations: list[MadeGeneration]) -> Artefact | None:
    """The policy that steered the latest generation; the current one, if any, where one that needs no training did."""
    if not generations or untrained_name(generations[-1].manifest.policy_version):
        return _if_made(store, "trained_policy")
    return store.of_version("trained_policy", generations[-1].manifest.policy_version)


def _policy(store: ArtefactStore, policy: Artefact) -> content.PolicyResults:
    comparison = _if_made(store, "policy_comparison")
    checkpoint, facts = load_policy(policy), policy.read_facts(PolicyFacts)
    compared = None if comparison is None else comparison.read_facts(ComparisonFacts)
    origin = checkpoint.origin
    asked = (("instructor", origin.instructor), ("reviewer", origin.reviewer), ("guide", origin.guide))
    return content.PolicyResults(
        algorithm=checkpoint.config.algorithm.name,
        curve=checkpoint.curve,
        scores=() if comparison is None else tuple(read_policy_scores(comparison)),
        flat_reward=facts.flat_reward or (compared is not None and compared.flat_reward),
        uniform_variance=None if compared is None else compared.reward_variance.get(UNIFORM),
        trained_with=tuple(content.RoleModel(role, who.provider, who.model) for role, who in asked if who),
        cost_nano_usd=facts.cost_nano_usd,
        unpriced=facts.unpriced,
        soft_reward=facts.soft_reward,
        pairs_in_both_orders=facts.pairs_in_both_orders,
        orders_disagree=facts.orders_disagree,
        order_difference=facts.order_difference,
        verdicts_without_probability=facts.verdicts_without_probability,
        edits_without_tokens=facts.edits_without_tokens,
    )


def _models(store: ArtefactStore) -> content.ModelResults:
    return content.ModelResults(
        adapters=tuple(_adapter(kind, made) for kind in ADAPTERS if (made := _if_made(store, f"{kind}_model"))),
        scores=tuple(_read(store, "evaluation_scores", read_evaluation_scores)),
        win_rates=tuple(_read(store, "judged_win_rate", read_win_rates)),
        privacy=tuple(_read(store, "privacy_audit", read_privacy)),
        stages=stages_table(stages) if (stages := read_stages(store)) else None,
    )


def _adapter(kind: str, artefact: Artefact) -> content.Adapter:
    facts = artefact.read_facts(AdapterFacts)
    return content.Adapter(
        kind=kind,
        model_version=artefact.data_version,
        curve=tuple(read_curve(artefact)),
        trainable_parameters=facts.trainable_parameters,
        examples=facts.examples,
        updates=facts.updates,
        device=facts.device,
        dtype=facts.dtype,
    )


def _account(artefact: Artefact, groups: Mapping[str, tuple[Cost, ...]]) -> content.Account:
    pairs = read_pair_costs(artefact)
    total = artefact.read_facts(CostFacts).model_dump(exclude={"expert"})
    return content.Account(
        total=Cost(**total),
        by_role=groups["role"],
        by_operation=groups["operation"],
        by_role_and_operation=groups.get("role, operation", ()),
        by_model=groups["provider, model"],
        by_asset=groups["asset_key"],
        pairs=pair_table(pairs) if pairs.total.nano_usd or pairs.total.unpriced else None,
        questions=question_counts(groups["asset_key, purpose"]),
    )


def question_counts(costs: Iterable[Cost]) -> content.QuestionCounts:
    """The queries of the main line; `costs` are by asset and purpose."""
    asked_for = {(cost.group["asset_key"], cost.group["purpose"]): cost.asked for cost in costs}
    return content.QuestionCounts(
        rewrites=asked_for.get(("generated_instructions", "rewrite"), 0),
        reviews=asked_for.get(("generated_instructions", "review"), 0),
        answers=asked_for.get(("expert_responses", "respond"), 0),
        ratings=asked_for.get((SCORES, "rate"), 0),
        policy=sum(asked for (asset, _), asked in asked_for.items() if asset in _POLICY_ASSETS),
    )
