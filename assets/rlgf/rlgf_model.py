"""Asset `rlgf_model`: what lora_model becomes, trained token by token with a guide and a reward."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from assets.columns import RLGF_ADAPTER, table_columns
from assets.materialize import COMPARED_LAST, OWNERS, materialization
from assets.models.checks import adapter_check
from assets.models.config import SettingsRefused
from assets.pools import GPU, ON_GPU
from assets.preflight import preflight_of
from assets.rlgf.config import RLGFSettings
from assets.training import cluster_of_trainings, train_beside
from resources.language_models.asking import stopping
from resources.language_models.roles import LanguageModels
from teams_dagster.core.protocol import Role
from teams_dagster.dataset.stored import dataset_file
from teams_dagster.evaluation.judging import judge_prompt
from teams_dagster.evaluation.rlgf.serving import Serving, serving
from teams_dagster.evaluation.rlgf.stored import ASKED, rlgf_card, rlgf_facts, settle_asked
from teams_dagster.llm.background_loop import BackgroundEventLoop
from teams_dagster.llm.context import CallContext
from teams_dagster.llm.ordered import AHEAD
from teams_dagster.report.preview_evaluation import rlgf_preview
from teams_dagster.rlgf.config import RLGFConfig
from teams_dagster.rlgf.dataset_task import DatasetPrompts
from teams_dagster.rlgf.run_request import LESS_MEMORY, SCRIPT, RLGFRequest
from teams_dagster.rlgf.task import Task
from teams_dagster.store.artefact_store import Artefact, ArtefactStore
from teams_dagster.store.facts.models import AdapterFacts, BaseFacts
from teams_dagster.store.facts.rlgf import RLGFFacts
from teams_dagster.store.tables import write_table
from teams_dagster.student.adapter_config import MODEL
from teams_dagster.student.isolation import one_training_at_a_time
from teams_dagster.student.stored import adapter_version, model_row, student_path, weights_sha256
from teams_dagster.student.training_run import TrainingFailed


@dataclass(frozen=True)
class PlannedTraining:
    """A training that has not begun."""

    base: Artefact
    lora: Artefact
    task: Task | DatasetPrompts
    training: RLGFConfig
    inputs: dict[str, str]
    """By name to version."""


def plan_training(config: RLGFSettings, store: ArtefactStore, models: LanguageModels) -> PlannedTraining:
    """The training of `config` on what is stored.

    Raises ArtefactMissing where there is no adapter or dataset, and what the settings are refused for.
    """
    lora, dataset = store.current("lora_model"), store.current("instruction_dataset")
    base = store.of_version("base_model", lora.manifest["inputs"]["base_model"])
    task = config.task_on(dataset_file(dataset, "train"), dataset_file(dataset, "held_out"))
    inputs = {"base_model": base.data_version, "lora_model": lora.data_version, **models.versions(*config.roles)}
    if isinstance(task, Task):
        inputs["task"] = task.version
    else:
        inputs |= {"instruction_dataset": dataset.data_version, "prompt of judge": judge_prompt().version}
    return PlannedTraining(base, lora, task, config.training(), inputs)


@dg.asset(
    group_name="rlgf",
    deps=["base_model", "lora_model", "instruction_dataset"],
    kinds={"openai", "huggingface", "torch"},
    owners=OWNERS,
    op_tags=COMPARED_LAST | ON_GPU,
    metadata=table_columns("models", RLGF_ADAPTER),
    code_version="1",
    pool=GPU,
    description="lora_model trained on, token by token, by PPO, RLGF or another algorithm: the reward is a task's or"
    " the judge's preference, the guide the model before the training or the role GUIDE.",
)
def rlgf_model(
    context: dg.AssetExecutionContext,
    config: RLGFSettings,
    store: dg.ResourceParam[ArtefactStore],
    models: LanguageModels,
) -> dg.MaterializeResult:
    """Train on from lora_model; a training that was interrupted goes on, and asks nothing twice."""
    training, roles = config.training(), config.roles
    _refuse_asking_from_afar(roles)
    models.found_out(*roles)
    planned = plan_training(config, store, models)
    base, lora = planned.base, planned.lora
    _refuse_whole_model(lora, training)
    where = CallContext(context.run.run_id, "rlgf_model")
    with materialization(
        context,
        store,
        config=config,
        settings=config.deciding,
        inputs=planned.inputs,
        resume=True,
        publish=models.publish,
    ) as made:
        if made.draft is not None:
            if Role.JUDGE in roles:
                made.preflight = preflight_of(context, models, Role.JUDGE)
            names = {role: str(identity) for role, identity in models.identities(*roles).items()}
            request = RLGFRequest(
                folder=made.folder,
                parent=os.getpid(),
                base=student_path(base),
                adapter=lora.path(MODEL),
                start=lora.data_version,
                task=planned.task,
                config=training,
                guide=names.get(Role.GUIDE),
                judge=_judge_named(names[Role.JUDGE], training) if Role.JUDGE in roles else None,
            )
            small = base.read_facts(BaseFacts).embedded  # takes one processor and little memory
            apart = small or cluster_of_trainings() is not None  # which gives out its processors and devices itself
            with nullcontext() if apart else one_training_at_a_time(store.root, context.log.info):
                _train(context, models, request, where)
            with models.ledger.open() as ledger:
                facts = rlgf_facts(request, ledger, judge=names.get(Role.JUDGE), outcomes=models.outcomes(where))
            version = adapter_version(made.folder / MODEL, base.data_version)
            _list_model(made.folder, version, lora, config, where.run_id)
            rlgf_card(base, lora, store, version, facts).write(made.folder / MODEL)
            made.finish(version, facts)
    return made.result(RLGFFacts, rlgf_preview)


def _judge_named(judge: str, training: RLGFConfig) -> str:
    """What decides the verdicts that a training learns from: who, what is asked, and of which two answers."""
    return f"{judge}, prompt {judge_prompt().version}" + (", of a prompt's two texts" if training.pairs else "")


def _list_model(folder: Path, version: str, lora: Artefact, config: RLGFSettings, run_id: str) -> None:
    """Write the model's row of table `models`: it stands on the base and the dataset of the adapter before."""
    inputs = lora.manifest["inputs"]
    row = model_row("rlgf", version, MODEL, weights_sha256(folder / MODEL), config.deciding, run_id)
    stands_on = {"dataset_version": inputs["instruction_dataset"], "base_version": inputs["base_model"]}
    write_table(folder, "models", [row | stands_on])


def _refuse_whole_model(lora: Artefact, training: RLGFConfig) -> None:
    """Raises SettingsRefused where an adapter would stand on a model that is in no asset."""
    if lora.read_facts(AdapterFacts).kind == "full" and training.weights.kind != "full":
        raise SettingsRefused(
            "lora_model was trained with preset paper_full, so it is no adapter that another one could be joined with:"
            " set `weights: {kind: full}`, or train lora_model as an adapter"
        )


def _refuse_asking_from_afar(roles: list[Role]) -> None:
    """Raises SettingsRefused where a node of a cluster would have to ask by a socket of this machine."""
    if roles and (address := cluster_of_trainings()) is not None:
        names = " and ".join(role.name for role in roles)
        raise SettingsRefused(
            f"TEAMS_RAY_ADDRESS {address} takes the trainings, and one that asks {names} does so through its step, on"
            " the same machine: set TEAMS_RAY_RUNS=steps, where the step is on the cluster as well, or train here"
        )


def _train(context: dg.AssetExecutionContext, models: LanguageModels, request: RLGFRequest, where: CallContext) -> None:
    """Train beside this process, which asks the guide and the judge for it. Raises TrainingFailed, or what ended that.

    The asking is in a thread of its own: an interruption finds this one waiting for the training, as at any adapter's.
    """
    settle_asked(request.folder)
    if not request.roles:
        train_beside(context, request, SCRIPT, LESS_MEMORY)
        return
    from teams_dagster.evaluation.rlgf.answering import answering
    from teams_dagster.evaluation.rlgf.forecast import training_queries

    asking = models.asking(where, *request.roles, expected=training_queries(request), log=context.log.info)
    answers = answering(request.task, width=AHEAD * models.settings().max_in_flight)
    with tempfile.TemporaryDirectory(prefix="teams-rlgf-") as place:  # near the root: a socket's path is short
        address = Path(place) / "asking"
        with _hosted(serving(asking, answers, address, request.folder / ASKED)) as state:
            try:
                train_beside(context, request.model_copy(update={"address": address}), SCRIPT, LESS_MEMORY)
            except TrainingFailed:
                if state.error is None:
                    raise
            if state.error is not None:
                with stopping():
                    raise state.error


@contextmanager
def _hosted(opening: AbstractAsyncContextManager[Serving]) -> Iterator[Serving]:
    """What `opening` gives, living in a thread of its own."""
    hosted = BackgroundEventLoop(opening)
    try:
        yield hosted.resource
    finally:
        hosted.close()


rlgf_adapter_answers = adapter_check("rlgf")
