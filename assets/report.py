"""The report: one self-contained page with the pictures."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pyarrow.parquet as pq

from assets.accounting import query_costs, read_costs
from assets.comparison.asset import policy_comparison, read_policy_scores
from assets.evaluation import ADAPTERS, evaluation_scores, privacy_audit, read_evaluation_scores, read_privacy
from assets.explorer import EXPLORER, write_samples_page
from assets.lineage import sample_lineage
from assets.making import OWNERS, AssetConfig, make_or_reuse
from assets.manifests import generated_for, read_manifest
from assets.models import read_curve
from assets.policy import load_policy
from resources.ledger import LedgerConnection
from resources.stores import Artefact, ArtefactStore, Draft, write_atomically
from teams_dagster.instructions.instruction import Instruction
from teams_dagster.ledger.costs import Cost
from teams_dagster.policy.baselines import UNIFORM
from teams_dagster.report import content
from teams_dagster.streams import content_hash

PAGE = "report.html"
CHAINS = 6

_POLICY_ASSETS = ("trained_policy", "policy_comparison")


@dg.asset(
    group_name="accounting",
    deps=[policy_comparison, evaluation_scores, privacy_audit, query_costs, sample_lineage],
    kinds={"html"},
    owners=OWNERS,
    code_version="2",
    description="One self-contained HTML page: the policy, the dataset, the models, their scores, what it all cost.",
)
def report(
    context: dg.AssetExecutionContext, config: AssetConfig, store: ArtefactStore, ledger: LedgerConnection
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
    generations = [_Generation(store, partition) for partition in store.partitions("expert_responses")]
    return content.Report(
        title="teams-dagster report",
        about=_about(store, generations),
        policy=_policy(store, generations),
        dataset=_dataset(store, generations),
        models=_models(store),
        account=_account(store, generations),
    )


class _Generation:
    """One generation's artefacts."""

    def __init__(self, store: ArtefactStore, partition: str) -> None:
        self.partition = partition
        self.responses = store.current("expert_responses", partition)
        self.generated = generated_for(store, self.responses)
        self.manifest = read_manifest(self.generated)


def _about(store: ArtefactStore, generations: list[_Generation]) -> content.About:
    base, policy = store.current("base_model"), _policy_in_use(store, generations)
    manifests = [generation.manifest for generation in generations]
    libraries = [
        store.of_version("seed_instructions", version)
        for version in dict.fromkeys(manifest.seeds_version for manifest in manifests)
    ]
    models = [_role("instructor", policy.facts["instructor"])]
    if manifests:
        models += [content.RoleModel(role, model.provider, model.model) for role, model in manifests[-1].models]
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


def _policy_in_use(store: ArtefactStore, generations: list[_Generation]) -> Artefact:
    """The policy that steered the latest generation."""
    if not generations:
        return store.current("trained_policy")
    return store.of_version("trained_policy", generations[-1].manifest.policy_version)


def _role(role: str, identity: dict[str, str]) -> content.RoleModel:
    return content.RoleModel(role, identity["provider"], identity["model"])


def _policy(store: ArtefactStore, generations: list[_Generation]) -> content.PolicyResults:
    policy, comparison = _policy_in_use(store, generations), store.current("policy_comparison")
    checkpoint, facts = load_policy(policy), policy.facts
    origin = checkpoint.origin
    asked = (("instructor", origin.instructor), ("reviewer", origin.reviewer), ("guide", origin.guide))
    return content.PolicyResults(
        algorithm=checkpoint.config.algorithm.name,
        curve=checkpoint.curve,
        scores=tuple(read_policy_scores(comparison)),
        flat_reward=facts["flat_reward"] or comparison.facts["flat_reward"],
        uniform_variance=comparison.facts.get("reward_variance", {}).get(UNIFORM),
        trained_with=tuple(content.RoleModel(role, who.provider, who.model) for role, who in asked if who),
        cost_nano_usd=facts["cost_nano_usd"],
        unpriced=facts["unpriced"],
    )


def _dataset(store: ArtefactStore, generations: list[_Generation]) -> content.DatasetResults:
    dataset = store.current("instruction_dataset")
    not_accepted = _added(generation.generated.facts["not_accepted"] for generation in generations)
    refused = _added(generation.responses.facts["refused"] for generation in generations)
    transitions = sum(generation.generated.facts["transitions"] for generation in generations)
    return content.DatasetResults(
        examples=dataset.facts["examples"],
        funnel=content.funnel_stages(transitions, not_accepted, refused, dataset.facts["dropped"]),
        operations=tuple(_operations(generations)),
        lengths=tuple(_lengths(generations)),
        chains=tuple(_chains(store, generations)),
    )


def _added(counts: Iterator[dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for group in counts:
        for name, count in group.items():
            total[name] = total.get(name, 0) + count
    return total


def _query(generations: list[_Generation], sql: str) -> list[tuple[Any, ...]]:
    """Run `sql` over views `transitions` and `instructions` of all generations, in memory."""
    import duckdb

    if not generations:
        return []
    with duckdb.connect() as connection:
        for table in ("transitions", "instructions"):
            files = [str(generation.generated.path(f"{table}.parquet")) for generation in generations]
            connection.execute(f"create view {table} as select distinct * from read_parquet({files!r})")
        return connection.execute(sql).fetchall()


def _operations(generations: list[_Generation]) -> Iterator[content.OperationAtStep]:
    rows = _query(
        generations,
        "select step, operation, count(*), count(*) filter (accepted) from transitions group by all order by all",
    )
    for step, operation, chosen, accepted in rows:
        yield content.OperationAtStep(step, operation, chosen, accepted)


def _lengths(generations: list[_Generation]) -> Iterator[content.LengthAtStep]:
    words = "len(string_split_regex(trim(text || ' ' || input), '\\s+'))"
    rows = _query(
        generations,
        f"""
        with texts as (
            select 0 as step, parent_id as id from transitions where step = 0
            union all select step + 1, instruction_id from transitions where accepted
        ), lengths as (select step, {words} as n from texts join instructions on id = instructions.instruction_id)
        select step, count(*), quantile_cont(n, 0.1), quantile_cont(n, 0.5), quantile_cont(n, 0.9)
        from lengths group by step order by step
        """,
    )
    for row in rows:
        yield content.LengthAtStep(*row)


def _chains(store: ArtefactStore, generations: list[_Generation]) -> Iterator[content.Chain]:
    """The longest chains of the latest generation that ended in a kept sample, one from each seed."""
    if not generations:
        return
    latest = generations[-1]
    texts = {
        row["instruction_id"]: Instruction(row["text"], row["input"])
        for row in pq.read_table(latest.generated.path("instructions.parquet")).to_pylist()
    }
    kept = [row for row in pq.read_table(latest.responses.path("samples.parquet")).to_pylist() if row["accepted"]]
    last_of_episode = {row["episode_id"]: row for row in sorted(kept, key=lambda row: row["step"])}
    chosen = sorted(last_of_episode.values(), key=lambda row: (-row["step"], row["sample_id"]))[:CHAINS]
    wanted = {row["episode_id"] for row in chosen}
    episodes: dict[str, list[dict[str, Any]]] = {}
    filters = [("episode_id", "in", wanted)]
    for row in pq.read_table(latest.generated.path("transitions.parquet"), filters=filters).to_pylist():
        episodes.setdefault(row["episode_id"], []).append(row)
    for sample in chosen:
        steps = [row for row in episodes[sample["episode_id"]] if row["step"] <= sample["step"]]
        yield content.Chain(
            sample_id=sample["sample_id"],
            seed_id=sample["seed_id"],
            partition_key=latest.partition,
            seed=texts[steps[0]["parent_id"]],
            edits=tuple(_edit(row, texts) for row in steps if row["operation"] != "none"),
            response=sample["response"],
        )


def _edit(row: dict[str, Any], texts: dict[str, Instruction]) -> content.Edit:
    return content.Edit(
        step=row["step"],
        operation=row["operation"],
        probability=row["probability"],
        after=texts.get(row["instruction_id"]),
        accepted=row["accepted"],
        reason=row["eliminated_by"] or row["verdict"] or "",
        reward=row["reward"],
    )


def _models(store: ArtefactStore) -> content.ModelResults:
    return content.ModelResults(
        adapters=tuple(_adapter(kind, store.current(f"{kind}_model")) for kind in ADAPTERS),
        scores=tuple(read_evaluation_scores(store.current("evaluation_scores"))),
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


def _account(store: ArtefactStore, generations: list[_Generation]) -> content.Account:
    artefact = store.current("query_costs")
    groups = {column: tuple(Cost(**cost) for cost in costs) for column, costs in read_costs(artefact).items()}
    total = {name: value for name, value in artefact.facts.items() if name in Cost.__dataclass_fields__}
    asked_for = {(cost.group["asset_key"], cost.group["purpose"]): cost.asked for cost in groups["asset_key, purpose"]}
    return content.Account(
        total=Cost(**total),
        by_role=groups["role"],
        by_operation=groups["operation"],
        by_model=groups["provider, model"],
        by_asset=groups["asset_key"],
        questions=content.QuestionCounts(
            rewrites=asked_for.get(("generated_instructions", "rewrite"), 0),
            reviews=asked_for.get(("generated_instructions", "review"), 0),
            answers=asked_for.get(("expert_responses", "respond"), 0),
            policy=sum(asked for (asset, _), asked in asked_for.items() if asset in _POLICY_ASSETS),
        ),
    )
