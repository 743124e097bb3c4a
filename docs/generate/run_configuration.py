"""Page: the run configuration of every asset and job, from the schema that Dagster validates it with."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import dagster as dg

from docs.generate.markdown import code, table
from teams_dagster.automation import JOBS
from teams_dagster.definitions import defs

INTRODUCTION = """# Run configuration

What changes from run to run. The Launchpad shows the same fields with the same descriptions; `teams demo --config FILE`
and `teams estimate --config FILE` take them as YAML or JSON:

```yaml
ops:
  trained_policy:
    config:
      iterations: 10
  generated_instructions:
    config:
      seeds: 20
```

A dot stands for a level: `features.embedding_model` is `features: {embedding_model: ...}`. Of the fields of one choice
(`algorithm.ppo.clip`) only one choice can be given.
"""

HEADER = ("Field", "Type", "Default", "What it does")

NAMES = {"Int": "integer", "Float": "number", "String": "text", "Bool": "boolean", "Any": "anything"}
"""Dagster's scalars in words."""


def page() -> str:
    """The whole page: a section for each op that has fields of its own."""
    return "\n".join([INTRODUCTION, *_sections()])


@cache
def schema(job: str) -> dict[str, dict[str, Any]]:
    """The fields of each op of a job, by the op's name: Dagster's own."""
    ops = _fields(job)["ops"].config_type.fields
    configs = {name: op.config_type.fields["config"] for name, op in ops.items() if "config" in op.config_type.fields}
    return {name: field.config_type.fields for name, field in configs.items() if hasattr(field.config_type, "fields")}


def jobs() -> dict[str, str]:
    """By op, the first job that has it; in the order of the graph."""
    found = {name: job.name for job in reversed(JOBS) for name in schema(job.name)}
    order = [key.to_user_string() for key in defs.resolve_asset_graph().toposorted_asset_keys]
    return {name: found[name] for name in (*order, *sorted(found.keys() - set(order))) if name in found}


def rows_of(op: str) -> list[tuple[str, str, str, str]]:
    """Path, type, default and description of each field of an op, nested ones too."""
    return list(_rows(schema(jobs()[op])[op]))


def _sections() -> Iterator[str]:
    for op, job in jobs().items():
        yield f"## {op}\n"
        yield f"In job {code(job)}.\n"
        yield table(HEADER, rows_of(op))
    yield "## Budgets of a run\n"
    yield "Under `resources: {models: {config: ...}}`; a role's own budget counts besides the run's.\n"
    models = _fields("everything")["resources"].config_type.fields["models"].config_type.fields["config"]
    yield table(HEADER, _rows({"budget": models.config_type.fields["budget"]}))


def _fields(job: str) -> dict[str, Any]:
    shape: Any = defs.resolve_job_def(job).run_config_schema.config_type
    return shape.fields


def _rows(fields: dict[str, Any], prefix: str = "", within_choice: bool = False) -> Iterator[tuple[str, str, str, str]]:
    """A row for each field, nested ones with their path. A choice within a choice is named and not told again."""
    for name, field in fields.items():
        path, kind = f"{prefix}{name}", field.config_type
        if isinstance(kind, dg.Selector):
            yield code(path), f"one of {', '.join(map(code, kind.fields))}", _default(field), field.description or ""
            choices: Mapping[str, Any] = {} if within_choice else kind.fields
            for choice, parameters in choices.items():
                yield from _rows(parameters.config_type.fields, f"{path}.{choice}.", within_choice=True)
        elif hasattr(kind, "fields"):
            yield from _rows(kind.fields, f"{path}.", within_choice)
        else:
            yield code(path), _type(kind), _default(field), field.description or ""


def _type(kind: Any) -> str:
    if isinstance(kind, dg.Noneable):
        return _type(kind.inner_type)
    if isinstance(kind, dg.ScalarUnion):
        return _type(kind.scalar_type)
    if isinstance(kind, dg.Array):
        return f"list of {_type(kind.inner_type)}"
    if isinstance(kind, dg.Map):
        return f"map of {_type(kind.key_type)} to {_type(kind.inner_type)}"
    if hasattr(kind, "enum_values"):
        return ", ".join(code(value.config_value) for value in kind.enum_values)
    return NAMES[kind.given_name]


def _default(field: Any) -> str:
    """The default as YAML; of a choice its name."""
    if not field.default_provided:
        return "required"
    if field.default_value is None:
        return ""
    if isinstance(field.config_type, dg.Selector):
        return code(next(iter(field.default_value)))
    return code(json.dumps(field.default_value, ensure_ascii=False))
