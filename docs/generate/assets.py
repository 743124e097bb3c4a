"""Page: the assets, jobs, schedules and sensors, from their definitions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from docs.generate.markdown import code, table
from teams_dagster.automation import JOBS, SCHEDULES, SENSORS
from teams_dagster.definitions import defs

INTRODUCTION = """# Assets and jobs

![The asset graph](../pictures/graph.svg)

Assets pass data through storage. Each is a function of its inputs, its configuration and its code version: where its
output for these exists, it returns that. A partitioned asset has an output for each weekly generation.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([INTRODUCTION, *_groups(), *_automation()])


def _groups() -> Iterator[str]:
    graph = defs.resolve_asset_graph()
    by_group: defaultdict[str, list[tuple[str, str, str]]] = defaultdict(list)
    for key in graph.toposorted_asset_keys:
        asset = graph.get(key)
        parents = ", ".join(code(parent.to_user_string()) for parent in sorted(asset.parent_keys))
        name = code(key.to_user_string()) + (" (weekly)" if asset.partitions_def else "")
        by_group[asset.group_name].append((name, asset.description or "", parents))
    for group, rows in by_group.items():
        yield f"## Group {group}\n"
        yield table(("Asset", "What it is", "Made from"), rows)


def _automation() -> Iterator[str]:
    yield "## Jobs\n"
    yield table(("Job", "What it does"), [(code(job.name), job.description or "") for job in JOBS])
    yield "## Schedules and sensors\n"
    rows = [
        (code(schedule.name), f"job {code(schedule.job_name)}", schedule.description or "") for schedule in SCHEDULES
    ]
    rows += [
        (
            code(sensor.name),
            _jobs([job.name for job in sensor.jobs] if sensor.has_jobs else []),
            sensor.description or "",
        )
        for sensor in SENSORS
    ]
    yield table(("Name", "Launches", "What it does"), rows)


def _jobs(names: list[str]) -> str:
    return f"jobs {', '.join(map(code, names))}" if names else "nothing: it tells people"
