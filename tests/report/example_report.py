"""A realistic report with made-up values, and one whose every text is hostile."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import fields, is_dataclass, replace
from functools import cache

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import TEXT_OPERATIONS, Operation
from teams_dagster.evaluation.paper import PaperValue, paper_table
from teams_dagster.evaluation.privacy import MembershipScore, RocPoint
from teams_dagster.evaluation.scores import Score as EvaluationScore
from teams_dagster.evaluation.win_rate import WinRate
from teams_dagster.ledger.costs import Cost
from teams_dagster.policy.comparison.distinctness import METRICS, Measure
from teams_dagster.policy.comparison.scores import Score as PolicyScore
from teams_dagster.policy.curve import IterationRecord
from teams_dagster.report.content import (
    About,
    Account,
    Adapter,
    Chain,
    DatasetResults,
    Edit,
    GenerationResults,
    LengthAtStep,
    ModelResults,
    OperationAtStep,
    PolicyResults,
    QuestionCounts,
    Report,
    RoleModel,
    funnel_stages,
)
from teams_dagster.report.page import render_report
from teams_dagster.store.facts.rlgf import StageScores, stages_table
from teams_dagster.student.curves import TrainingPoint


def iteration(index: int) -> IterationRecord:
    progress = 1 - math.exp(-index / 12)
    weights = {
        op.value: 1 + progress * bias
        for op, bias in zip(Operation, (-0.4, 1.6, 0.5, 0.9, 0.2, -0.3, -0.9), strict=True)
    }
    total = sum(weights.values())
    wobble = 0.02 * math.sin(index * 2.1)
    return IterationRecord(
        iteration=index,
        policy_version="5d41402abc4b2a76",
        episodes=64,
        truncated=0,
        queries=690 + index,
        guidance_queries=170 - 3 * index,
        fallbacks=int(index % 9 == 0),
        mean_return=1.2 + 1.1 * progress + 3 * wobble,
        accepted_per_query=0.27 + 0.11 * progress + wobble,
        accepted_per_episode=2.9 + 1.2 * progress + 5 * wobble,
        reward_variance=0.11 - 0.02 * progress,
        unclear=0,
        operation_mix={name: weight / total for name, weight in weights.items()},
        eliminated={"returned": 12},
        phase="aggrevated" if index < 12 else "ppo_plus_plus",
        update="moved",
        policy_steps=330,
        critic_steps=330,
        entropy=1.94 - 0.5 * progress + wobble / 2,
        explained_variance=0.3 + 0.3 * progress if index else None,
        critic_loss=0.4,
        clip_fraction=0.1,
        kappa=None,
        imitation_loss=None,
        kl=0.028 + wobble / 10,
        improvement=0.01,
        step_size=1.0,
    )


def policy_score(policy: str, metric: str, mean: float, half: float, training_seeds: int = 5) -> PolicyScore:
    return PolicyScore(policy, metric, mean, mean - half, mean + half, 128, 1_412, training_seeds, "5d41402abc4b2a76")


ACCEPTED = {
    "trained": 0.381,
    "trained_without_none": 0.376,
    "trained_by_graded": 0.379,
    "text_zeroed": 0.341,
    "text_noise": 0.336,
    "no_history": 0.362,
    "reference": 0.311,
    "uniform": 0.302,
    "uniform_with_none": 0.309,
    "round_robin": 0.352,
    "lazy_one_edit": 0.41,
    "lazy_two_edits": 0.4,
    "breadth": 0.204,
    "add_constraints": 0.262,
    "deepening": 0.188,
    "concretizing": 0.117,
    "increase_reasoning_steps": 0.151,
    "complicate_input": 0.226,
    "open_loop": 0.331,
    "bandit": 0.322,
    "table": 0.371,
    "generic_prompt": 0.366,
    "forced_schedule": 0.298,
    "guide": 0.241,
    "look_ahead": 0.083,
    "look_ahead_free": 0.471,
}
"""Accepted per query of every policy."""


def compared() -> tuple[PolicyScore, ...]:
    """Every metric of every policy, made up from how much each is accepted."""
    scale = {
        "return": (7.1, 0.2),
        "accepted_per_query": (1, 0.018),
        "accepted_per_episode": (11, 0.2),
        "distinct_accepted_per_query": (0.9, 0.02),
        "allowance_used": (2.4, 0.02),
        "distinct_1": (0.6, 0.01),
        "distinct_2": (1.7, 0.03),
        "nearest_similarity": (0.9, 0.03),
        "vendi_score": (60, 2.5),
        "length_growth": (5, 0.4),
    }
    rows = [
        policy_score(name, metric, mean * factor, half)
        for name, mean in ACCEPTED.items()
        for metric, (factor, half) in scale.items()
    ]
    rows += [
        policy_score("trained", f"{metric}_minus_{name}", (ACCEPTED["trained"] - mean) * factor, half * 0.8)
        for name, mean in ACCEPTED.items()
        for metric, (factor, half) in scale.items()
        if name != "trained"
    ]
    rows += [
        policy_score(name, f"share_of_{operation.value}", share, 0.02)
        for name, first in (("trained", 0.3), ("uniform", 1 / 6))
        for operation in Operation
        for share in [first if operation is Operation.ADD_CONSTRAINTS else (1 - first) / 6]
    ]
    rows += [
        policy_score("trained", f"{metric}_share_of_gap", 0.47, 0.09)
        for metric in ("return", "accepted_per_query", "distinct_accepted_per_query")
    ]
    rows.append(policy_score("trained", "accepted_per_query_over_uniform", 1.261, 0.06))
    rows.append(replace(policy_score("trained", "samples_to_pay_for_training", 41_250, 9_000), ci_high=math.inf))
    rows.append(policy_score("trained", "samples_to_pay_for_training_in_dollars", math.inf, 0))
    return tuple(rows)


def evaluation_score(model: str, metric: str, value: float, stderr: float | None) -> EvaluationScore:
    task = "heldout_loss" if "loss" in metric else "response_choice"
    return EvaluationScore(model, task, metric, value, stderr, 24, None, "7b52009b64fd0a2a")


def judged(model: str, rate: float) -> WinRate:
    return WinRate(
        model=model,
        against="base",
        questions=40,
        pairs=38,
        wins=28,
        ties=6,
        losses=4,
        unclear=1,
        contradictory=3,
        win_rate=rate,
        ci_low=rate - 0.12,
        ci_high=rate + 0.1,
        length_controlled=rate - 0.04,
        lc_low=rate - 0.2,
        lc_high=rate + 0.08,
        mean_length=412.0,
        mean_length_base=533.5,
        first_place_share=0.53,
        judge="offline/rules 0123abcd",
        model_version=f"{model}-1",
        dataset_version="7b52009b64fd0a2a",
    )


def membership(model: str, auc: float) -> MembershipScore:
    power = (1 - auc) / auc
    roc = tuple(RocPoint(x / 50, (x / 50) ** power) for x in range(51))
    return MembershipScore(
        model, auc, 0.03, auc - 0.06, auc + 0.06, auc - 0.51, auc - 0.55, auc - 0.47, True, 88, 88, 120, roc
    )


def cost(group: dict[str, str | None], asked: int, reused: int = 0, nano: int = 0, unpriced: int = 0) -> Cost:
    calls = asked - reused
    return Cost(group, asked, reused, calls, calls, 0, 0, 210 * calls, 0, 140 * calls, nano, unpriced)


CHAIN = Chain(
    sample_id="c4ca4238a0b92382",
    seed_id="a87ff679a2f3e71d",
    partition_key="2026-01-12",
    seed=Instruction("Explain why the sky is blue."),
    edits=(
        Edit(
            step=0,
            operation="add_constraints",
            probability=0.34,
            after=Instruction("Explain why the sky is blue in at most 80 words."),
            accepted=True,
            reason="not_equal",
            reward=0.72,
        ),
        Edit(1, "breadth", 0.11, None, accepted=False, reason="malformed_reply", reward=0.0),
        Edit(
            step=2,
            operation="complicate_input",
            probability=0.19,
            after=Instruction(
                "Explain the colours in this table in at most 80 words.",
                "| hour | colour of the sky |\n|---|---|\n| 06:00 | orange |\n| 12:00 | blue |",
            ),
            accepted=True,
            reason="not_equal",
            reward=0.9,
        ),
    ),
    response="Sunlight holds all colours. Air scatters short waves more than long ones, so at noon blue reaches the eye"
    " from every side.\n\nAt six the light has crossed far more air: the blue is gone and orange is left.",
)

NOT_ACCEPTED = {
    "none": 96,
    "returned": 188,
    "malformed_reply": 61,
    "leaked_prompt_words": 9,
    "failed": 4,
    "equal": 702,
    "unclear": 11,
}
REFUSED = {"short_apology": 23, "empty": 2}
DROPPED = {**REFUSED, "near_duplicate": 104, "exact_duplicate": 19}

STAGES = [
    StageScores(
        stage=stage,
        model_version=f"model {stage}",
        heldout_loss=loss,
        choice_accuracy=0.6,
        against_base=None if stage == "base" else 0.7,
        queries=queries,
        cost_nano_usd=queries * 1_000_000,
    )
    for stage, loss, queries in (("base", 3.47, 0), ("fine-tuning", 2.61, 4_100), ("fine-tuning + grpo", 2.58, 5_200))
]


def adapter(kind: str, shift: float) -> Adapter:
    curve = tuple(
        TrainingPoint(
            step,
            loss=3.4 - 1.1 * (1 - math.exp(-step / 60)) + shift if step else None,
            validation_loss=3.5 - 0.9 * (1 - math.exp(-step / 70)) + shift if step % 48 == 0 else None,
        )
        for step in range(0, 193, 8)
    )
    return Adapter(kind, "45c48cce2e2d7fbd", 61_440, 512, 192, "cpu", "float32", curve)


STEP_MIX = tuple(
    OperationAtStep(step, operation.value, chosen, accepted=0 if operation is Operation.NONE else chosen * 3 // 4)
    for step in range(6)
    for index, operation in enumerate(Operation)
    if (chosen := (index + 1) * 7 + step * (5 - index) + 14) > 0
)


def measured(names: Iterable[str]) -> tuple[Measure, ...]:
    """Every measure of diversity of these sets."""
    return tuple(
        Measure(name, metric, mean * (1 - place / 50), mean * 0.9, mean * 1.1, 10)
        for place, name in enumerate(names)
        for metric, mean in zip(METRICS, (0.31, 0.62, 0.54, 40.0), strict=True)
    )


GENERATIONS = (
    GenerationResults("2026-01-05", 2_180, 400_000_000, 2, 340, 18.0, 41.0, 77.0),
    GenerationResults("2026-01-12", 2_055, 412_400_000, 0, 361, 20.0, 46.5, 81.0),
)

EXAMPLE = Report(
    title="TeaMs report, 2026-01-12",
    about=About(
        dataset_version="7b52009b64fd0a2a",
        policy_version="5d41402abc4b2a76",
        generations=("2026-01-05", "2026-01-12"),
        seeds=160,
        seeds_source="the product's own seeds",
        models=(
            RoleModel("expert", "openai", "gpt-5.2-mini-2026-01-01"),
            RoleModel("reviewer", "offline", "rules"),
            RoleModel("instructor", "offline", "rules"),
        ),
        student="tiny Llama, 0.9M parameters",
        student_embedded=True,
    ),
    policy=PolicyResults(
        algorithm="d2lols",
        curve=tuple(iteration(index) for index in range(40)),
        scores=compared(),
        uniform_variance=0.104,
        trained_with=tuple(RoleModel(role, "offline", "rules") for role in ("instructor", "reviewer", "guide")),
        cost_nano_usd=12_400_000,
    ),
    dataset=DatasetResults(
        examples={"train": 512, "validation": 61, "held_out": 128},
        funnel=funnel_stages(1_920, NOT_ACCEPTED, REFUSED, DROPPED),
        operations=STEP_MIX,
        lengths=tuple(LengthAtStep(s, 160 - 12 * s, 6 + 2 * s, 14 + 8 * s, 30 + 14 * s) for s in range(7)),
        diversity_by_step=measured(map(str, range(7))),
        generations=GENERATIONS,
        diversity_by_generation=measured(generation.partition_key for generation in GENERATIONS),
        chains=(CHAIN, replace(CHAIN, sample_id="eccbc87e4b5ce2fe", edits=CHAIN.edits[:1])),
    ),
    models=ModelResults(
        adapters=(adapter("lora", 0.0), adapter("qlora", 0.06)),
        scores=(
            evaluation_score("base", "heldout_loss", 3.47, 0.06),
            evaluation_score("lora", "heldout_loss", 2.61, 0.05),
            evaluation_score("lora", "heldout_loss_vs_base", -0.86, 0.04),
            evaluation_score("qlora", "heldout_loss", 2.67, 0.05),
            evaluation_score("qlora", "heldout_loss_vs_base", -0.8, 0.04),
            evaluation_score("qlora", "heldout_loss_vs_lora", 0.06, 0.01),
            evaluation_score("base", "choice_accuracy", 0.49, 0.05),
            evaluation_score("lora", "choice_accuracy", 0.66, 0.05),
            evaluation_score("lora", "choice_accuracy_vs_base", 0.17, 0.05),
            evaluation_score("qlora", "choice_accuracy", 0.55, 0.05),
            evaluation_score("qlora", "choice_accuracy_vs_base", 0.06, 0.05),
            evaluation_score("shortest_answer", "choice_accuracy", 0.27, 0.04),
            evaluation_score("chance", "choice_accuracy", 0.25, None),
            evaluation_score("unigram", "heldout_loss", 5.1, 0.07),
            evaluation_score("uniform_tokens", "heldout_loss", 7.6, None),
        ),
        win_rates=(judged("lora", 0.82), judged("qlora", 0.55)),
        privacy=(membership("base", 0.51), membership("lora", 0.58), membership("qlora", 0.57)),
        stages=stages_table(STAGES),
    ),
    paper=tuple(
        paper_table(
            [
                PaperValue("pairs", "lora", 701, None, None, "instruction_dataset 7b52009b64fd0a2a"),
                PaperValue("heldout_loss", "base", 3.47, 3.35, 3.59, "evaluation_scores 1"),
                PaperValue("heldout_loss", "lora", 2.61, 2.51, 2.71, "evaluation_scores 1"),
                PaperValue("heldout_loss", "lora_uniform", 2.64, 2.54, 2.74, "uniform_scores 2"),
                PaperValue("heldout_loss", "lora_uniform_minus_lora", 0.03, -0.02, 0.08, "uniform_scores 2"),
            ]
        )
    ),
    account=Account(
        total=cost({}, 36_911, 1_204, 812_400_000, 2),
        by_role=(
            cost({"role": "expert"}, 2_673, 310, 812_400_000, 2),
            cost({"role": "reviewer"}, 17_130, 480),
            cost({"role": "instructor"}, 17_108, 414),
        ),
        by_operation=(
            *(cost({"operation": operation.value}, 5_600, 100) for operation in TEXT_OPERATIONS),
            cost({"operation": None}, 3_311, 604, 400_000_000),
        ),
        by_role_and_operation=(
            cost({"role": "expert", "operation": None}, 849, 100, 400_000_000),
            *(cost({"role": "expert", "operation": op.value}, 304, 10, 60_000_000) for op in TEXT_OPERATIONS),
            *(cost({"role": "instructor", "operation": op.value}, 2_851, 69) for op in TEXT_OPERATIONS),
            cost({"role": "reviewer", "operation": None}, 17_130, 480),
        ),
        by_model=(
            cost({"provider": "offline", "model": "rules"}, 34_238, 894),
            cost({"provider": "openai", "model": "gpt-5.2-mini-2026-01-01"}, 2_673, 310, 812_400_000, 2),
        ),
        by_asset=(
            cost({"asset_key": "trained_policy"}, 28_420),
            cost({"asset_key": "policy_comparison"}, 4_236),
            cost({"asset_key": "generated_instructions"}, 3_386, 900, 412_400_000, 2),
            cost({"asset_key": "expert_responses"}, 869, 304, 400_000_000),
        ),
        questions=QuestionCounts(rewrites=1_824, answers=849, reviews=1_562, policy=32_656),
    ),
)

HOSTILE = (
    '<script>alert(1)</script><img src=x onerror=alert(2)>"\'><a href="javascript:alert(3)" onclick=alert(4)>'
    "{{ 7 * 7 }} {% raw %} </style></p></section> ![x](http://evil.example/x.png) $\\frac{$ | pipe\r\n"
    "\u202etxt.exe\u2066 \x1b[31m \x00 \ud800 \ufeff \U000e0041 a\u0308" + "W" * 5_000
)


def hostile(report: Report) -> Report:
    """`report` with every string in it hostile."""
    made = _hostile(report)
    assert isinstance(made, Report)
    return made


def _hostile(value: object) -> object:
    if isinstance(value, str):
        return HOSTILE
    if isinstance(value, tuple):
        return tuple(_hostile(item) for item in value)
    if isinstance(value, dict):
        return {f"{HOSTILE}{key}": _hostile(item) for key, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return type(value)(**{field.name: _hostile(getattr(value, field.name)) for field in fields(value)})
    return value


@cache
def example_page() -> str:
    """The page of `EXAMPLE`, whose pictures take seconds to draw."""
    return render_report(EXAMPLE)


@cache
def hostile_example_page() -> str:
    """The page of `EXAMPLE` with every text hostile."""
    return render_report(hostile(EXAMPLE))
