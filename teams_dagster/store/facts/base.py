"""Facts: the figures that an asset records about its output, in the output's manifest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast

from pydantic import BaseModel, ConfigDict, ValidationError

from teams_dagster.core.metadata import Detail, Json, Table
from teams_dagster.store.artefacts import ManifestDamaged
from teams_dagster.store.tables import MANIFEST


@dataclass(frozen=True)
class Shown:
    """How a fact stands in the metadata of its asset, where it is not simply shown under its own name."""

    name: str | None = None
    """The metadata key."""
    form: Callable[[Any], Detail] | None = None
    """Makes of the fact what is shown."""


class Hidden:
    """Marks a fact that is kept for other assets and not shown: `Annotated[int, Hidden()]`."""


class Facts(BaseModel):
    """Plain figures about an output. A field tells by its annotation how it is shown: see `Shown` and `Hidden`.

    Facts that an earlier version did not record need a default. Those that a later one records beside are left out.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    def shown(self) -> dict[str, Detail]:
        """The facts as metadata: numbers and texts as they are, truth values as words, nested values as JSON.

        One that is None, or an empty list or mapping of another form, is left out.
        """
        return dict(
            entry for name, field in type(self).model_fields.items() if (entry := self._entry(name, field.metadata))
        )

    def _entry(self, name: str, markers: list[Any]) -> tuple[str, Detail] | None:
        value = getattr(self, name)
        if value is None or any(isinstance(marker, Hidden) for marker in markers):
            return None
        shown = next((marker for marker in markers if isinstance(marker, Shown)), Shown())
        if shown.form is not None:
            return (shown.name or name, shown.form(value)) if value != {} and value != [] else None
        return shown.name or name, _plain(value)


def outcomes_table(outcomes: dict[str, dict[str, Any]]) -> Table:
    """By purpose: asked, kept, and each cause that occurred."""
    causes = sorted({cause for counts in outcomes.values() for cause in counts["causes"]})
    rows = [
        (purpose, counts["asked"], counts["kept"], *(counts["causes"].get(cause, 0) for cause in causes))
        for purpose, counts in outcomes.items()
    ]
    return Table(("query", "asked", "kept", *causes), rows)


def _sentences(sentences: list[str]) -> str:
    return "; ".join(sentences)


class QueryFacts(Facts):
    """Facts of a step that asks language models."""

    unanswered: Annotated[int, Hidden()] = 0
    """Queries that failed for good: an output that has some is made again when asked for."""
    out_of_budget: Annotated[bool, Hidden()] = False
    """A budget ended it before its target: it goes on when asked for."""
    outcomes: Annotated[dict[str, dict[str, Any]], Shown(form=outcomes_table)] = {}
    """By purpose, how many queries were `asked` and `kept`, and the `causes` of the others."""
    preflight: Annotated[list[str], Shown(form=_sentences)] = []
    """What the preflight of the roles that were asked warned of, or failed on where a setting let it go on."""


F = TypeVar("F", bound=Facts)


def read_facts(folder: Path, facts: dict[str, Any], kind: type[F]) -> F:
    """The facts in the manifest of `folder` as `kind`. Raises ManifestDamaged naming the first that does not fit."""
    try:
        return kind.model_validate(facts)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ManifestDamaged(
            f"{folder / MANIFEST}: facts.{where}: {first['msg']}. Restore the folder, or remove it and materialise"
            " again"
        ) from error


def _plain(value: Any) -> Detail:
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, BaseModel):
        return Json(value.model_dump(mode="json"))
    if isinstance(value, dict | list | tuple):
        return Json(cast(Any, value))
    return value
