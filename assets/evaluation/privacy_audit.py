"""Asset `privacy_audit`: can one tell the adapters' training samples from others?"""

import json
from dataclasses import asdict
from typing import Any

import dagster as dg

from assets.evaluation.config import PrivacyConfig
from assets.materialize import OWNERS, materialization
from assets.pools import GPU, ON_GPU
from teams_dagster.core.hashing import content_hash
from teams_dagster.dataset.stored import read_examples, read_steps
from teams_dagster.evaluation.stored import CANARIES, PRIVACY, evaluated_models, evaluated_versions
from teams_dagster.report.preview_evaluation import privacy_preview
from teams_dagster.store.artefact_store import ArtefactStore
from teams_dagster.store.facts.dataset import DatasetFacts
from teams_dagster.store.facts.evaluation import PrivacyFacts
from teams_dagster.store.facts.models import BaseFacts
from teams_dagster.student.adapter_config import student_config
from teams_dagster.student.stored import adapter_folders, student_path


@dg.asset(
    group_name="evaluation",
    deps=["base_model", "lora_model", "qlora_model", "instruction_dataset"],
    kinds={"huggingface"},
    owners=OWNERS,
    code_version="2",
    op_tags=ON_GPU,
    pool=GPU,
    description="Membership inference by loss, by Min-K%++ and calibrated by the base: can one tell the adapters'"
    " training samples from held-out ones of like length and step? The base's own AUC is the control.",
)
def privacy_audit(
    context: dg.AssetExecutionContext, config: PrivacyConfig, store: dg.ResourceParam[ArtefactStore]
) -> dg.MaterializeResult:
    """Attack the base and each adapter; with canaries, an adapter that is trained for that and thrown away."""
    models, dataset = evaluated_models(store), store.current("instruction_dataset")
    base, inputs = models["base"], evaluated_versions(models, dataset)
    with materialization(context, store, config=config, inputs=inputs) as made:
        if made.draft is not None:
            from teams_dagster.evaluation.membership.audit import audit_privacy
            from teams_dagster.evaluation.membership.canaries import audit_canaries

            train = read_examples(dataset, "train")
            audit = audit_privacy(
                student_path(base),
                adapter_folders(models),
                train,
                read_examples(dataset, "held_out"),
                read_steps(dataset),
                seed=config.seed,
                progress=context.log.info,
            )
            results = [asdict(result) for result in audit.results]
            (made.folder / PRIVACY).write_text(json.dumps(results, indent=1), encoding="utf-8")
            canaries: dict[str, Any] = {}
            if config.canaries:
                found = audit_canaries(
                    student_path(base),
                    train,
                    student_config("lora", embedded=base.read_facts(BaseFacts).embedded),
                    canaries=config.canaries,
                    times=config.canary_times,
                    seed=config.seed,
                    progress=context.log.info,
                )
                canaries = asdict(found)
                (made.folder / CANARIES).write_text(json.dumps(canaries, indent=1), encoding="utf-8")
            unsure = any(result.too_small_to_tell for result in audit.results)
            facts = PrivacyFacts(
                too_long=len(audit.too_long),
                too_small_to_tell=unsure,
                overlap=dataset.read_facts(DatasetFacts).overlap,
            )
            made.finish(content_hash("privacy_audit", results, canaries), facts)
    return made.result(PrivacyFacts, privacy_preview)
