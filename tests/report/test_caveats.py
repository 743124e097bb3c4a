from __future__ import annotations

import math
from dataclasses import replace

from teams_dagster.policy.comparison.scores import Score as PolicyScore
from teams_dagster.report.caveats import cautions, limits
from teams_dagster.report.content import About, Account, ModelResults, PolicyResults, Report, RoleModel
from tests.report.example_report import EXAMPLE, cost, policy_score

MODELS = (RoleModel("expert", "openai", "large"), RoleModel("reviewer", "openai", "small"))
TRAINED = (RoleModel("instructor", "openai", "tiny"), RoleModel("reviewer", "openai", "small"))


def told(report: Report) -> str:
    return "\n".join(cautions(report))


def test_configured_roles_and_student_have_no_limits_to_tell() -> None:
    assert limits(Report(about=About(models=MODELS))) == ()


def test_offline_roles_or_the_embedded_student_only_prove_that_the_line_works() -> None:
    offline = limits(Report(about=About(models=(RoleModel("judge", "offline", "rules"),))))
    assert "played judge" in offline[0]
    for report in (offline, limits(Report(about=About(student_embedded=True)))):
        assert "proof that the line works" in report[-1]


def test_a_report_without_doubts_has_no_cautions() -> None:
    assert cautions(Report(about=About(models=MODELS), policy=PolicyResults(trained_with=TRAINED))) == ()


def test_a_preflight_that_was_overridden_is_told() -> None:
    assert "Preflight: the reviewer is at chance." in told(
        Report(about=About(preflight=("the reviewer is at chance",)))
    )


def test_a_flat_reward_is_told() -> None:
    assert "reward is flat" in told(Report(policy=PolicyResults(flat_reward=True)))


def test_a_gain_whose_interval_contains_zero_is_too_small_to_tell() -> None:
    def gain(mean: float) -> str:
        score = policy_score("trained", "distinct_accepted_per_query_minus_uniform", mean, 0.02)
        return told(Report(policy=PolicyResults(scores=(score,))))

    assert "Too small to tell" in gain(0.01)
    assert gain(0.05) == ""
    assert "worse than uniform" in gain(-0.05)


def compared(*scores: PolicyScore) -> str:
    return told(Report(policy=PolicyResults(scores=scores)))


def above(rival: str, mean: float) -> PolicyScore:
    return policy_score("trained", f"distinct_accepted_per_query_minus_{rival}", mean, 0.02)


def test_a_policy_that_is_not_above_one_that_cannot_read_has_not_learnt_from_the_text() -> None:
    assert "cannot be told from text zeroed" in compared(above("text_zeroed", 0.01))
    assert "nothing shows that what was learnt comes from the text" in compared(above("text_zeroed", 0.01))
    assert "is below text zeroed" in compared(above("text_zeroed", -0.05))
    assert compared(above("text_zeroed", 0.05)) == ""


def test_a_policy_that_is_not_above_one_without_training_needed_none() -> None:
    assert "cannot be told from round robin" in compared(above("round_robin", 0.0))
    fixed = (
        policy_score("breadth", "distinct_accepted_per_query", 0.2, 0),
        policy_score("deepening", "distinct_accepted_per_query", 0.3, 0),
    )
    assert "is below deepening" in compared(*fixed, above("deepening", -0.1), above("breadth", 0.1))
    assert compared(*fixed, above("deepening", 0.1), above("breadth", 0.0)) == "", "breadth is not the best of them"


def test_a_policy_that_leaves_its_allowance_unused_is_told() -> None:
    assert "leaves its allowance unused: it asked 33%" in compared(policy_score("trained", "allowance_used", 0.33, 0))
    assert compared(policy_score("trained", "allowance_used", 0.9, 0)) == ""


def test_a_training_that_does_not_pay_is_told() -> None:
    metric = "samples_to_pay_for_training"
    assert "never pays for itself in queries" in compared(policy_score("trained", metric, math.inf, 0))
    assert "may never pay" in compared(replace(policy_score("trained", metric, 900, 100), ci_high=math.inf))
    assert compared(policy_score("trained", metric, 900, 100)) == ""
    assert "itself in dollars" in compared(policy_score("trained", f"{metric}_in_dollars", math.inf, 0))


def test_a_single_training_is_told() -> None:
    assert "Only one training" in compared(policy_score("trained", "return", 2, 0.1, training_seeds=1))
    assert compared(policy_score("trained", "return", 2, 0.1, training_seeds=5)) == ""


def test_rules_in_training_and_models_in_generation_are_told() -> None:
    trained = (RoleModel("instructor", "offline", "rules"), TRAINED[1])
    assert "another kind of model" in told(
        Report(about=About(models=MODELS), policy=PolicyResults(trained_with=trained))
    )


def test_another_reviewer_than_in_training_is_told() -> None:
    trained = (TRAINED[0], RoleModel("reviewer", "openai", "other"))
    text = told(Report(about=About(models=MODELS), policy=PolicyResults(trained_with=trained)))
    assert text == "The policy was trained with reviewer openai/other; the generation asks openai/small."


def test_calls_without_a_price_or_a_result_are_told() -> None:
    total = replace(cost({}, 10, unpriced=3), unresolved=2)
    text = told(Report(account=Account(total=total)))
    assert "3 paid attempts went to models without a known price" in text
    assert "2 attempts have no result" in text


def test_a_benchmark_of_few_questions_is_not_taken_for_few_seeds() -> None:
    benchmark = replace(EXAMPLE.models.scores[0], task="gsm8k", n=5)
    models = replace(EXAMPLE.models, scores=(*EXAMPLE.models.scores, benchmark))
    assert "as few as 24 held-out seeds" in told(replace(EXAMPLE, models=models))


def test_scores_that_cannot_be_told_apart_are_told() -> None:
    text = told(EXAMPLE)
    assert "qlora cannot be told from base in choice accuracy" in text
    assert "lora cannot be told from base in heldout loss" not in text
    assert "as few as 24 held-out seeds" in text
    assert "privacy attack's area" in text


def test_a_win_rate_whose_interval_at_equal_length_contains_one_half_is_told() -> None:
    lora, qlora = EXAMPLE.models.win_rates
    found = told(Report(models=ModelResults(win_rates=(lora, qlora))))
    assert "The judge cannot tell qlora from base at equal length" in found
    assert "lora from base" not in found.replace("qlora from base", "")


def test_a_model_that_judges_what_it_wrote_is_named() -> None:
    same = tuple(RoleModel(role, "openai", "large") for role in ("expert", "reviewer", "judge"))
    line = "One model, openai/large, is the expert and the reviewer and the judge: it judges what it wrote."
    assert line in cautions(Report(about=About(models=same)))
    assert line not in cautions(Report(about=About(models=MODELS)))
