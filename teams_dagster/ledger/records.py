"""What is written to the ledger: one value per row, fields named after the columns of `ledger.schema`."""

from __future__ import annotations

from dataclasses import dataclass

from teams_dagster.core.protocol import Completion, ErrorKind, ModelIdentity, Request


@dataclass(frozen=True, slots=True)
class Place:
    """Who asks, and for what: the columns that attempts and uses share."""

    role: str
    purpose: str
    operation: str | None
    provider: str
    model: str
    run_id: str
    asset_key: str
    partition_key: str | None
    transition_id: str | None
    sample_id: str | None


@dataclass(frozen=True, slots=True)
class Question:
    """A query with what was sent, kept once per key."""

    request_key: str
    identity: ModelIdentity
    request: Request


@dataclass(frozen=True, slots=True)
class Attempt:
    """An intent to call."""

    request_id: str
    request_key: str
    attempt: int
    """1 for the first."""
    place: Place
    started_at: int
    batch_id: str | None = None
    """The batch that it is part of, if it is."""


@dataclass(frozen=True, slots=True)
class Result:
    """How an attempt ended. `completion` is None when it failed, `error_kind` None when it did not."""

    request_id: str
    completion: Completion | None
    error_kind: ErrorKind | None
    error_detail: str | None
    http_status: int | None
    cost_nano_usd: int | None
    price_version: str
    latency_ms: float
    finished_at: int


@dataclass(frozen=True, slots=True)
class Use:
    """A query asked, before it is known how it is answered."""

    use_id: str
    request_key: str
    place: Place
    asked_at: int


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """A durable answer and the attempt that was paid for."""

    request_id: str
    completion: Completion
    cost_nano_usd: int | None = None
    """What it cost when it was bought; None where no price is known."""
