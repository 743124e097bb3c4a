"""Pools: what steps of several runs share. Neither has a limit until an operator sets one."""

from resources.ray_cluster import gpu_tags
from teams_dagster.settings import load_settings

LANGUAGE_MODELS = "language_models"
"""The endpoints: each step keeps a provider's limits a minute as if it were alone."""

GPU = "gpu"
"""The device that students are trained and scored on: each step fills it as if it were alone."""

ON_GPU = gpu_tags(load_settings().ray_gpus)
"""Op tags of the steps in pool `gpu`: what a Ray cluster sets apart for each."""
