"""What a preflight found out about one role, kept until its model, its prompts or the plan change."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from teams_dagster.core.files import write_atomically
from teams_dagster.core.protocol import Role
from teams_dagster.policy.query_forecast import UNTRAINED, EpisodeStats
from teams_dagster.preflight.accuracy import Accuracy, Share
from teams_dagster.preflight.asking import WidthRate, recommended_width

FOLDER = "preflight"
"""Where records lie in the data folder."""


class Status(StrEnum):
    """Whether a role may be used."""

    PASSED = "passed"
    WARNED = "warned"
    FAILED = "failed"


class OperationCount(BaseModel):
    """What became of an operation's rewrites."""

    model_config = ConfigDict(frozen=True)

    operation: str
    asked: int
    malformed: int
    """Replies that break the format: no instruction could be read out of them."""
    eliminated: int
    """Read, and refused by an elimination rule, an unusable outcome among them."""
    reviewed: int
    accepted: int


class SeedUse(StrEnum):
    """What a model does with the seed that it is sent."""

    HONOURED = "honoured"
    NOT_HONOURED = "not honoured"
    """The same query got two answers."""
    WITHOUT_EFFECT = "without effect"
    """Every seed gets the same answer."""


class RatingsRecord(BaseModel):
    """What was found out about a judge's ratings of pairs, good and bad ones."""

    model_config = ConfigDict(frozen=True)

    key: str
    """Of what it is a function beside the model: see `plan.ratings_key`."""
    accuracy: Accuracy | None
    """None where nothing can be said: of the good pairs, or of the bad ones, none got an answer."""
    failures: tuple[str, ...]
    """Sentences: each keeps the judge from dropping a pair."""
    warnings: tuple[str, ...]


class RoleRecord(BaseModel):
    """What was found out about one role."""

    model_config = ConfigDict(frozen=True)

    role: Role
    model: str
    key: str
    """Of what it is a function: see `plan.record_key`."""
    quick: bool
    queries: int
    """Asked of this role's model, reused ones included."""
    failures: tuple[str, ...]
    """Sentences: each stops what would be trained or bought."""
    warnings: tuple[str, ...]
    reached: bool
    unanswered: int = 0
    """Queries that failed for good."""
    priced: bool = True
    tokens: float | None = None
    """Of prompt and completion together, a reply; None where the provider reports none."""
    seconds: float | None = None
    """A reply, one at a time; the first apart, for which weights may have to be loaded. None where none was sent."""
    widths: tuple[WidthRate, ...] = ()
    traits: dict[str, str] = {}
    """What is known of the endpoint: how it can be held to allowed replies, which parameters it takes."""
    log_probabilities: bool = False
    seed: SeedUse | None = None
    """None where the role's replies are not drawn."""
    operations: tuple[OperationCount, ...] = ()
    readable: Share | None = None
    """Replies that could be read, of a guide's."""
    accuracy: Accuracy | None = None
    ratings: RatingsRecord | None = None
    """None where they were not tried: only who drops pairs for them needs that."""

    def with_ratings(self) -> RoleRecord:
        """The same where its ratings decide: what is wrong with them is wrong with the role."""
        if self.ratings is None:
            return self
        found = self.ratings
        return self.model_copy(
            update={
                "failures": (*self.failures, *found.failures),
                "warnings": (*self.warnings, *found.warnings),
                "ratings": found.model_copy(update={"failures": (), "warnings": ()}),
            }
        )

    def answers(self, ratings_key: str | None) -> bool:
        """Whether it says what is to be known: of ratings too, where `ratings_key` names how they are tried."""
        return self.settled and (ratings_key is None or (self.ratings is not None and self.ratings.key == ratings_key))

    @property
    def status(self) -> Status:
        """Whether the role may be used."""
        return Status.FAILED if self.failures else Status.WARNED if self.warnings else Status.PASSED

    @property
    def settled(self) -> bool:
        """Whether asking again would tell nothing new: every query has its answer."""
        return self.reached and not self.unanswered

    @property
    def width(self) -> int | None:
        """The width that is recommended; None where nothing was measured."""
        return recommended_width(self.widths)


def write_record(data_dir: Path, record: RoleRecord) -> None:
    """Keep a record, in the place of an earlier one of the same role and size."""
    write_atomically(_path(data_dir, record.role, quick=record.quick), record.model_dump_json(indent=1) + "\n")


def read_record(data_dir: Path, role: Role, key: str, *, quick: bool) -> RoleRecord | None:
    """The record of a role; None where there is none, or one of another model, other prompts or an earlier plan."""
    path = _path(data_dir, role, quick=quick)
    if not path.is_file():
        return None
    try:
        record = RoleRecord.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError:
        return None  # of another version: the preflight runs again, and its answers are on the ledger
    return record if record.key == key else None


def usable_record(data_dir: Path, role: Role, key: str, ratings_key: str | None = None) -> RoleRecord | None:
    """The record that decides: that of a full preflight, else of a quick one that found nothing wrong.

    With `ratings_key` what is wrong with the role's ratings is among its faults. None where the role has to be tried:
    it was not, or some of its queries got no answer.
    """
    found = [read_record(data_dir, role, key, quick=quick) for quick in (False, True)]
    full, quick = (
        None if record is None or not record.answers(ratings_key) else record.with_ratings() if ratings_key else record
        for record in found
    )
    return full or (quick if quick is not None and not quick.failures else None)


def gate_failures(data_dir: Path, key: str, ratings_key: str) -> tuple[str, ...]:
    """Why a judge may not drop a pair: what failed when it was tried, also where some of its queries got no answer."""
    usable = usable_record(data_dir, Role.JUDGE, key, ratings_key)
    if usable is not None:
        return usable.failures
    found = [read_record(data_dir, Role.JUDGE, key, quick=quick) for quick in (False, True)]
    return next((record.with_ratings().failures for record in found if record is not None), ())


def episode_stats(record: RoleRecord | None) -> EpisodeStats | None:
    """What an untrained episode asks and gains with the rewriter that was tried.

    None where none was, or where nothing of what it wrote was reviewed: then nothing is known of acceptance.
    """
    operations = record.operations if record else ()
    asked, reviewed = sum(one.asked for one in operations), sum(one.reviewed for one in operations)
    if not reviewed:
        return None
    rewrites = UNTRAINED.rewrites
    reviews = rewrites * reviewed / asked
    accepted = rewrites * sum(one.accepted for one in operations) / asked
    return EpisodeStats(rewrites, reviews, rewrites, reviews, accepted)


def _path(data_dir: Path, role: Role, *, quick: bool) -> Path:
    return data_dir / FOLDER / f"{role.value}{'-quick' if quick else ''}.json"
