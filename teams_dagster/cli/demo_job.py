"""The job `demo`, resolved where this is imported: the process that its steps are forked from does it once for all."""

import dagster as dg

from teams_dagster.definitions import defs

_JOB = defs.resolve_job_def("demo")
dg.validate_run_config(_JOB)  # makes the schema of its run configuration, which each step reads


def demo_job() -> dg.JobDefinition:
    """The job, by a name that the processes of its steps find it by."""
    return _JOB
