"""Check of what a token-level training made: it loads and answers like any adapter."""

from assets.models.checks import adapter_check

rlgf_adapter_answers = adapter_check("rlgf")
