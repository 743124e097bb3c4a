"""Asset `base_model`: the student before training."""

import dagster as dg

from assets.columns import table_columns
from assets.materialize import MODELS_NEXT, OWNERS, materialization
from assets.models.config import BaseConfig
from assets.pools import GPU, ON_GPU
from resources.language_models.roles import LanguageModels
from teams_dagster.store.artefact_store import ArtefactStore, hash_of_folder
from teams_dagster.store.facts.models import BaseFacts
from teams_dagster.store.tables import write_table
from teams_dagster.student.adapter_config import MODEL
from teams_dagster.student.stored import (
    configured_version,
    make_embedded_base,
    model_row,
    take_configured_base,
    weights_sha256,
)

EXAMINED = "4"
"""Version of what a configured student is examined for: another one examines again, and leaves the embedded one be."""


@dg.asset(
    group_name="models",
    kinds={"huggingface"},
    owners=OWNERS,
    op_tags=MODELS_NEXT | ON_GPU,
    metadata=table_columns("models"),
    code_version="1",
    pool=GPU,
    description="The student before training: the model TEAMS_STUDENT names, or a tiny one pre-trained on the spot.",
)
def base_model(
    context: dg.AssetExecutionContext,
    config: BaseConfig,
    store: dg.ResourceParam[ArtefactStore],
    models: LanguageModels,
) -> dg.MaterializeResult:
    """Look at the configured student, or pre-train the embedded one. Raises StudentFault for one that is no use."""
    from teams_dagster.student.corpus import corpus_version

    student = models.settings().student
    given = configured_version(student) if student else None
    inputs = {"student": given, "examined": EXAMINED} if given else {"student": f"embedded {corpus_version()}"}
    with materialization(context, store, config=config, inputs=inputs) as made:
        if made.draft is not None:
            if student is not None and given is not None:
                facts, version, sha256 = take_configured_base(made.folder, student), given, None
                for note in facts.notes:
                    context.log.info(f"the student: {note}")
            else:
                facts = make_embedded_base(made.folder, seed=config.seed, steps=config.steps, progress=context.log.info)
                version, sha256 = hash_of_folder(made.folder / MODEL), weights_sha256(made.folder / MODEL)
            row = model_row(
                "base",
                version,
                student or MODEL,
                sha256,
                config.model_dump(mode="json", exclude={"force"}),
                context.run.run_id,
            )
            write_table(made.folder, "models", [row])
            made.finish(version, facts)
    return made.result(BaseFacts)
