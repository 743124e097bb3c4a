"""Pools: what steps of several runs share. Neither has a limit until an operator sets one."""

LANGUAGE_MODELS = "language_models"
"""The endpoints: each step keeps a provider's limits a minute as if it were alone."""

GPU = "gpu"
"""The device that students are trained and scored on: each step fills it as if it were alone."""
