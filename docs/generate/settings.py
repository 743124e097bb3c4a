"""Page: the environment variables, from the model that validates them."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from docs.generate.markdown import code, table
from teams_dagster.core.protocol import Role
from teams_dagster.role_settings import RoleSettings
from teams_dagster.settings import PREFIX, Settings

INTRODUCTION = """# Settings

What stays with a machine or a project is in the environment, or in a file `.env` beside `workspace.yaml`; the
environment wins. What changes from run to run is [run configuration](run-configuration.md). Relative paths are relative
to the folder of `workspace.yaml`. A variable that is misspelt, or whose value cannot be used, stops every command with
the variable's name.
"""

ROLES = """## Roles

Each role can be another model: {roles}. Once one role is configured, every role that a run asks must be, or be served
by `TEAMS_MODEL`: no role stands in for another. A role that names neither a provider, an address nor a key has those
of `TEAMS_MODEL`. Keys are read when a model is asked and are never written anywhere.
"""

OTHERS = """## Read by others

Job `push_to_hub` takes the hub's token from `HF_TOKEN`, and the hub's address from `HF_ENDPOINT` where it is set.
"""

NOT_SET_BY_PEOPLE = ("root", "roles", "naming", "shared")
"""Fields that are found, or that other variables make up."""

NAMES: dict[type, str] = {
    str: "text",
    SecretStr: "text",
    Path: "path",
    date: "date",
    bool: "`0` or `1`",
    int: "integer",
    float: "number",
    Decimal: "number",
}
"""Types in words."""

HEADER = ("Variable", "What it is", "Values", "Default")


def page() -> str:
    """The whole page."""
    project = {_variable(name): field for name, field in Settings.model_fields.items() if name not in NOT_SET_BY_PEOPLE}
    role = {f"{PREFIX}<ROLE>_{name.upper()}": field for name, field in RoleSettings.model_fields.items()}
    roles = ", ".join(code(role.name) for role in Role)
    return "\n".join(
        [INTRODUCTION, "## The project\n", _table(project), ROLES.format(roles=roles), _table(role), OTHERS]
    )


def _variable(field: str) -> str:
    return "DAGSTER_HOME" if field == "dagster_home" else f"{PREFIX}{field.upper()}"


def _table(variables: dict[str, FieldInfo]) -> str:
    return table(
        HEADER,
        [
            (code(name), field.description or "", _values(field.annotation), _default(field))
            for name, field in variables.items()
        ],
    )


def _values(kind: Any) -> str:
    """What can be set, in words."""
    if get_origin(kind) is Literal:
        return ", ".join(map(code, get_args(kind)))
    if get_origin(kind) in (Union, UnionType):
        return _values(next(part for part in get_args(kind) if part is not NoneType))
    if get_origin(kind) is tuple:
        return f"list of {_values(get_args(kind)[0])}"
    if get_origin(kind) is dict:
        return "JSON object"
    return NAMES[kind]


def _default(field: FieldInfo) -> str:
    if field.is_required() or field.default_factory is not None:
        return ""
    match field.default:
        case None | () | "":
            return ""
        case bool(value):
            return code(int(value))
        case float(value):
            return code(f"{value:g}")
        case value:
            return code(value)
