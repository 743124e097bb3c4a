"""Configurations of the method as run configuration: the same fields, defaults and descriptions, in Dagster's types."""

from collections.abc import Iterable, Iterator
from functools import cache, reduce
from inspect import cleandoc, isclass
from operator import or_
from types import NoneType
from typing import Any, Literal, cast, get_args, get_origin

import dagster as dg
from pydantic import BaseModel, Field, create_model
from pydantic.fields import FieldInfo


@cache
def run_config(config: type[BaseModel]) -> type[dg.Config]:
    """`config` as a configuration of Dagster: configurations in it are turned alike, choices among them included.

    What Dagster has no type for is left out, and stays as its default says: a number that can have one value only, a
    text in whose place a list may stand, a configuration that may be None. Rules between fields hold where the method's
    own configuration is made.
    """
    summary = cleandoc(config.__doc__ or "").partition("\n\n")[0]
    made: Any = create_model(config.__name__, __base__=dg.Config, __doc__=summary, **dict(_fields(config)))
    return cast("type[dg.Config]", made)


def one_of(configs: Iterable[type[BaseModel]]) -> Any:
    """The union of `configs`, each as a configuration of Dagster."""
    return reduce(or_, (run_config(config) for config in configs))


def _fields(config: type[BaseModel]) -> Iterator[tuple[str, Any]]:
    for name, field in config.model_fields.items():
        kinds = get_args(field.annotation) or (field.annotation,)
        configs = any(map(_is_config, kinds))
        one_number = get_origin(field.annotation) is Literal and not isinstance(kinds[0], str)
        if one_number or {str, list[str]} <= {*kinds} or (configs and NoneType in kinds):
            continue
        yield name, _turned(field, kinds) if configs else (field.annotation, field)


def _turned(field: FieldInfo, kinds: Iterable[Any]) -> tuple[Any, Any]:
    default = field.default
    if isinstance(default, BaseModel):
        made = run_config(type(default))
        default = made(**default.model_dump(include={*made.model_fields}))
    return one_of(kinds), Field(default=default, discriminator=field.discriminator, description=field.description)


def _is_config(kind: Any) -> bool:
    return isclass(kind) and issubclass(kind, BaseModel)
