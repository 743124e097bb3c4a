"""HTML pages whose values are text only."""

from __future__ import annotations

import jinja2
from markupsafe import Markup

from teams_dagster.core.text import shorten, visible


def text_only_templates(package: str, folder: str, longest: int | None = None) -> jinja2.Environment:
    """The templates in `folder` of `package`: no mark-up in a value has any effect, and a missing value is an error.

    Characters that would reorder or hide text are named instead; values beyond `longest` characters are cut and say so.
    """

    def inert(value: object) -> object:
        if isinstance(value, Markup) or not isinstance(value, str):
            return value
        return visible(value if longest is None else shorten(value, longest))

    return jinja2.Environment(
        loader=jinja2.PackageLoader(package, folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=inert,
        trim_blocks=True,
        lstrip_blocks=True,
    )
