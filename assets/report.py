"""The report: one self-contained page with the pictures."""

import dagster as dg

from assets.accounting import query_costs, read_costs
from assets.evaluation import ADAPTERS, evaluation_scores, privacy_audit, read_evaluation_scores, read_privacy
from assets.explorer import EXPLORER, write_samples_page
from assets.judging import judged_win_rate, read_win_rates
from assets.lineage import sample_lineage
from assets.making import make_or_reuse
from assets.materialize import OWNERS, AssetConfig
from assets.paper import paper_table, read_paper_table
from assets.policy.policy_comparison import policy_comparison
from assets.report_dataset import MadeGeneration, dataset_results
from resources.ledger import LedgerConnection
from teams_dagster.core.files import write_atomically
from teams_dagster.core.hashing import content_hash
from teams_dagster.ledger.costs import Cost
from teams_dagster.policy.baselines import UNIFORM
from teams_dagster.policy.comparison.stored import read_policy_scores
from teams_dagster.policy.stored import load_policy
from teams_dagster.report import content
from teams_dagster.store.artefact_store import Artefact, ArtefactStore, Draft
from teams_dagster.store.facts.policy import ComparisonFacts, PolicyFacts
from teams_dagster.student.stored import read_curve

PAGE = "report.html"

_POLICY_ASSETS = ("trained_policy", "policy_comparison")


@dg.asset(
    group_name="accounting",
    deps=[
        policy_comparison,
        evaluation_scores,
        judged_win_rate,
        privacy_audit,
        paper_table,
        query_costs,
        sample_lineage,
    ],
    kinds={"html"},
    owners=OWNERS,
    code_version="4",
    description="One self-contained HTML page: the policy, the dataset, the models, their scores, what it all cost.",
)
def report(
    context: dg.AssetExecutionContext,
    config: AssetConfig,
    store: dg.ResourceParam[ArtefactStore],
    ledger: LedgerConnection,
) -> dg.MaterializeResult:
    """Gather what every stage recorded, render the page, and publish the read model with the models and scores."""
    inputs = {
        artefact.folder.parent.relative_to(store.root).as_posix(): artefact.data_version
        for artefact, current in store.everything()
        if current and artefact.manifest["asset_key"] != "report"
    }

    def make(draft: Draft) -> None:
        from teams_dagster.report.page import render_report

        page = render_report(gather(store))
        (draft.folder / PAGE).write_text(page, encoding="utf-8")
        draft.finish(content_hash("report", page), {"bytes": len(page.encode())})

    result = make_or_reuse(context, store, config=config, inputs=inputs, make=make, show=_show)
    write_atomically(store.root / PAGE, store.current("report").path(PAGE).read_text(encoding="utf-8"))
    sealed = ledger.refresh(context.instance)
    told = write_samples_page(store, ledger, sealed)
    context.log.info(f"{EXPLORER}: {told}")
    return result._replace(metadata={**(result.metadata or {}), "explorer": told})


def _show(artefact: Artefact) -> dict[str, dg.MetadataValue | int]:
    page = artefact.path(PAGE)
    return {
        "page": dg.MetadataValue.url(page.as_uri()),
        "size_bytes": artefact.facts["bytes"],
    }


def gather(store: ArtefactStore) -> content.Report:
    """Everything that the report shows, from the artefacts."""
    generations = [MadeGeneration(store, partition) for partition in store.partitions("expert_responses")]
    return content.Report(
        title="teams-dagster report",
        about=_about(store, generations),
        policy=_policy(store, generations),
        dataset=dataset_results(store, generations),
        models=_models(store),
        paper=tuple(read_paper_table(store.current("paper_table"))),
        account=_account(store, generations),
    )


def _about(store: ArtefactStore, generations: list[MadeGeneration]) -> content.About:
    base, policy = store.current("base_model"), _policy_in_use(store, generations)
    manifests = [generation.manifest for generation in generations]
    libraries = [
        store.of_version("seed_instructions", version)
        for version in dict.fromkeys(manifest.seeds_version for manifest in manifests)
    ]
    instructor = policy.read_facts(PolicyFacts).instructor
    models = [content.RoleModel("instructor", instructor.provider, instructor.model)]
    if manifests:
        models += [content.RoleModel(role, model.provider, model.model) for role, model in manifests[-1].models]
    models.append(_role("judge", store.current("judged_win_rate").facts["judge"]))
    return content.About(
        dataset_version=store.current("instruction_dataset").data_version,
        policy_version=policy.data_version,
        generations=tuple(generation.partition for generation in generations),
        seeds=len({seed_id for manifest in manifests for seed_id, _ in manifest.replicas}),
        seeds_source=", ".join(
            f"{library.facts['source']} ({library.facts['refused']} rows refused)" for library in libraries
        ),
        models=tuple(models),
        student=base.facts["student"],
        student_embedded=base.facts["embedded"],
    )


def _policy_in_use(store: ArtefactStore, generations: list[MadeGeneration]) -> Artefact:
    """The policy that steered the latest generation."""
    if not generations:
        return store.current("trained_policy")
    return store.of_version("trained_policy", generations[-1].manifest.policy_version)


def _role(role: str, identity: dict[str, str]) -> content.RoleModel:
    return content.RoleModel(role, identity["provider"], identity["model"])


def _policy(store: ArtefactStore, generations: list[MadeGeneration]) -> content.PolicyResults:
    policy, comparison = _policy_in_use(store, generations), store.current("policy_comparison")
    checkpoint, facts = load_policy(policy), policy.read_facts(PolicyFacts)
    compared = comparison.read_facts(ComparisonFacts)
    origin = checkpoint.origin
    asked = (("instructor", origin.instructor), ("reviewer", origin.reviewer), ("guide", origin.guide))
    return content.PolicyResults(
        algorithm=checkpoint.config.algorithm.name,
        curve=checkpoint.curve,
        scores=tuple(read_policy_scores(comparison)),
        flat_reward=facts.flat_reward or compared.flat_reward,
        uniform_variance=compared.reward_variance.get(UNIFORM),
        trained_with=tuple(content.RoleModel(role, who.provider, who.model) for role, who in asked if who),
        cost_nano_usd=facts.cost_nano_usd,
        unpriced=facts.unpriced,
    )


def _models(store: ArtefactStore) -> content.ModelResults:
    return content.ModelResults(
        adapters=tuple(_adapter(kind, store.current(f"{kind}_model")) for kind in ADAPTERS),
        scores=tuple(read_evaluation_scores(store.current("evaluation_scores"))),
        win_rates=tuple(read_win_rates(store.current("judged_win_rate"))),
        privacy=tuple(read_privacy(store.current("privacy_audit"))),
    )


def _adapter(kind: str, artefact: Artefact) -> content.Adapter:
    facts = artefact.facts
    plain = ("trainable_parameters", "examples", "updates", "device", "dtype")
    return content.Adapter(
        kind=kind,
        model_version=artefact.data_version,
        curve=tuple(read_curve(artefact)),
        **{name: facts[name] for name in plain},
    )


def _account(store: ArtefactStore, generations: list[MadeGeneration]) -> content.Account:
    artefact = store.current("query_costs")
    groups = {column: tuple(Cost(**cost) for cost in costs) for column, costs in read_costs(artefact).items()}
    total = {name: value for name, value in artefact.facts.items() if name in Cost.__dataclass_fields__}
    asked_for = {(cost.group["asset_key"], cost.group["purpose"]): cost.asked for cost in groups["asset_key, purpose"]}
    return content.Account(
        total=Cost(**total),
        by_role=groups["role"],
        by_operation=groups["operation"],
        by_role_and_operation=groups.get("role, operation", ()),
        by_model=groups["provider, model"],
        by_asset=groups["asset_key"],
        questions=content.QuestionCounts(
            rewrites=asked_for.get(("generated_instructions", "rewrite"), 0),
            reviews=asked_for.get(("generated_instructions", "review"), 0),
            answers=asked_for.get(("expert_responses", "respond"), 0),
            policy=sum(asked for (asset, _), asked in asked_for.items() if asset in _POLICY_ASSETS),
        ),
    )
