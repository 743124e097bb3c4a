"""A job for each natural piece of work."""

# Dagster's own signatures leave generics open:
# pyright: reportUnknownMemberType=false

import dagster as dg

from resources.forkserver import IMPORTED_ONCE
from resources.ray_cluster import steps_executor
from teams_dagster.policy.comparison.plan import ALGORITHM_STUDY, STUDY
from teams_dagster.settings import load_settings

_SLOW_AUDITS = dg.AssetSelection.checks(
    dg.AssetCheckKey(dg.AssetKey("sample_lineage"), "stored_fields_are_unchanged"),
    dg.AssetCheckKey(dg.AssetKey("query_costs"), "read_model_tells_what_is_stored"),
)
"""What `sample_lineage` has just done in the same run, and what nobody can have changed since it was published."""

UNIFORM = "uniform_arm"
"""The group of the assets that only their own job makes."""

OUTCOME = "outcome"
"""The same."""

RLGF = "rlgf"
"""The same."""

_WHOLE_GRAPH = dg.AssetSelection.all() - dg.AssetSelection.groups(UNIFORM, OUTCOME, RLGF) - _SLOW_AUDITS

_SETTINGS = load_settings()

STEPS = steps_executor(_SETTINGS) or dg.in_process_executor
"""How a job runs its steps: one after another in its own process, or as jobs of a Ray cluster."""

TRAINING = _SETTINGS.training_tags
"""Tags of the runs of jobs that train or score students."""

everything = dg.define_asset_job(
    "everything",
    selection=_WHOLE_GRAPH,
    executor_def=STEPS,
    run_tags=TRAINING,
    description="Seeds to scores for one generation, step after step. What has not changed is reused.",
)

demo = dg.define_asset_job(
    "demo",
    selection=_WHOLE_GRAPH,
    executor_def=dg.multiprocess_executor.configured(
        {"max_concurrent": 2, "start_method": {"forkserver": {"preload_modules": IMPORTED_ONCE}}}
    ),
    description="The same as `everything`, two steps at a time, for the embedded rules and the embedded student. Run"
    " `everything` with others: each step keeps a provider's limits a minute, and fills a GPU, as if it were alone.",
)

uniform_arm = dg.define_asset_job(
    "uniform_arm",
    selection=dg.AssetSelection.groups(UNIFORM) | dg.AssetSelection.assets("paper_table", "report"),
    executor_def=STEPS,
    run_tags=TRAINING,
    description="The same stages with operations drawn uniformly, beside a generation of the trained policy and at as"
    " many queries as that asked, into an arm of its own: dataset, adapter, scores; the paper's table and the report"
    " then have these.",
)

train_policy = dg.define_asset_job(
    "train_policy",
    selection=dg.AssetSelection.groups("seeds", "policy"),
    description="Read the seeds, train the policy, compare it on seeds it was never trained on.",
)

policy_study = dg.define_asset_job(
    "policy_study",
    selection=dg.AssetSelection.assets("policy_comparison", "report"),
    config={"ops": {"policy_comparison": {"config": STUDY}}},
    description="The whole comparison: the trained policy against every baseline and every ablation, five trainings of"
    " each. By default a comparison leaves out what takes longest.",
)

algorithm_study = dg.define_asset_job(
    "algorithm_study",
    selection=dg.AssetSelection.assets("policy_comparison", "report"),
    config={"ops": {"policy_comparison": {"config": ALGORITHM_STUDY}}},
    description="The ten algorithms side by side: five trainings of each as it ships, with as many queries as the"
    " policy's own training, those with a guide under the role GUIDE and under a look-ahead.",
)

outcome_study = dg.define_asset_job(
    "outcome_study",
    selection=dg.AssetSelection.groups(OUTCOME),
    executor_def=STEPS,
    run_tags=TRAINING,
    description="What the trained policy is worth to the student: five students each of the policy, uniform, one"
    " generic prompt and the seeds alone, at equal queries, scored on people's own pairs (TEAMS_PAIRS) and on"
    " constraints that programs check.",
)

train_rlgf = dg.define_asset_job(
    "train_rlgf",
    selection=dg.AssetSelection.groups(RLGF) | dg.AssetSelection.assets("report"),
    executor_def=STEPS,
    run_tags=TRAINING,
    description="Train lora_model on, token by token, with a reward and, where the algorithm has one, a guide; score it"
    " beside lora_model and the base, and write the report.",
)

regenerate = dg.define_asset_job(
    "regenerate",
    selection=dg.AssetSelection.groups("dataset") | dg.AssetSelection.assets("query_costs", "sample_lineage"),
    executor_def=STEPS,
    description="One generation: the policy steers the expert, the expert answers, the dataset takes the samples in.",
)

dataset = dg.define_asset_job(
    "dataset",
    selection=dg.AssetSelection.groups("seeds", "dataset") | dg.AssetSelection.assets("query_costs", "sample_lineage"),
    executor_def=STEPS,
    config={"ops": {"generated_instructions": {"config": {"policy": "uniform"}}}},
    description="A dataset of one generation without training a policy: seeds to export. `policy` in its configuration"
    " is uniform; round_robin, or the version or folder of a policy that was trained before, do as well.",
)

DATASET_AS_BEFORE = {"ops": {"instruction_dataset": {"config": {"as_before": True}}}}
"""Run configuration of what makes the dataset again without a word on its threshold."""

retry_failed = dg.define_asset_job(
    "retry_failed",
    selection=dg.AssetSelection.groups("dataset") | dg.AssetSelection.assets("query_costs", "sample_lineage"),
    executor_def=STEPS,
    config={
        "ops": {
            "generated_instructions": {"config": {"only_failed": True}},
            "expert_responses": {"config": {"only_failed": True}},
            "pair_scores": {"config": {"as_before": True}},
            **DATASET_AS_BEFORE["ops"],
        }
    },
    description="Ask again what got no answer in one generation, and nothing else: what is answered is reused. Answers,"
    " scores and threshold stay as they are.",
)

fine_tune_and_evaluate = dg.define_asset_job(
    "fine_tune_and_evaluate",
    selection=dg.AssetSelection.groups("models", "evaluation") | dg.AssetSelection.assets("report"),
    executor_def=STEPS,
    run_tags=TRAINING,
    description="Train the adapters on the current dataset, score them, and write the report.",
)

retrain = dg.define_asset_job(
    "retrain",
    selection=dg.AssetSelection.assets("instruction_dataset", "report")
    | dg.AssetSelection.groups("models", "evaluation"),
    executor_def=STEPS,
    run_tags=TRAINING,
    config=DATASET_AS_BEFORE,
    description="The dataset of every generation there is, with the threshold it has, the adapters trained on it, their"
    " scores, and the report.",
)

train_on_pairs = dg.define_asset_job(
    "train_on_pairs",
    selection=dg.AssetSelection.assets("instruction_dataset", "evaluation_scores", "privacy_audit")
    | dg.AssetSelection.groups("models"),
    executor_def=STEPS,
    run_tags=TRAINING,
    description="People's own pairs (TEAMS_PAIRS, TEAMS_PAIRS_MODE=instead) to scored adapters: no query is sent.",
)

checks = dg.define_asset_job(
    "checks",
    selection=dg.AssetSelection.all_asset_checks(),
    executor_def=dg.in_process_executor,
    description="Every asset check on what is stored; nothing is materialised.",
)
