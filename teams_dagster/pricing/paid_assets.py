"""The assets that ask language models."""

from __future__ import annotations

PAID = (
    "trained_policy",
    "policy_comparison",
    "generated_instructions",
    "expert_responses",
    "pair_scores",
    "judged_win_rate",
)
"""In the order that they are materialised in."""

UNIFORM_PAID = ("uniform_instructions", "uniform_responses")
"""Those of the uniform arm, which no other job asks for."""

RLGF_PAID = ("rlgf_model",)
"""That of job train_rlgf which is estimated from the adapter that is stored."""

ESTIMATED_WHEN_RUN = ("outcome_scores", "rlgf_scores")
"""Those of jobs of their own that say what they are going to ask when they begin."""

BATCHED = ("generated_instructions", "expert_responses", "pair_scores", *UNIFORM_PAID)
"""Those whose queries go through a provider's batches where a role's transport says so."""
