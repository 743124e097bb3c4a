"""What a token-level training would ask, given what is stored."""

from __future__ import annotations

from assets.materialize import output_of, reusable
from assets.rlgf.config import RLGFSettings
from assets.rlgf.plan import asked_roles, plan_training
from assets.rlgf.rlgf_model import rlgf_model
from teams_dagster.automation.generation_steps import PlannedRun, Step


def rlgf_step(run: PlannedRun) -> Step:
    """The training of the adapter that is stored. Raises ArtefactMissing without one, and what it is refused for."""
    from teams_dagster.evaluation.rlgf.forecast import queries_on  # imports torch

    config = RLGFSettings(**run.configs.get("rlgf_model", {}))
    planned = plan_training(config, run.store, run.models)
    output = output_of(rlgf_model, config, planned.inputs, settings=config.deciding)
    made = reusable(config, output.earlier(run.store))
    guide, judge = asked_roles(config)
    expected = [] if made else queries_on(planned.task, planned.training, guide=guide, judge=judge)
    return Step("rlgf_model", tuple(expected), made is not None)
