"""What a provider's batch endpoint does: many queries handed in at once, answered within a day, at a lower price.

The values and the protocol that the batch engine is written against; `resources.language_models.openai_batches`
implements it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from teams_dagster.core.protocol import Completion, CompletionError, ModelIdentity, Request

MAX_REQUESTS = 50_000
"""Requests in one batch (OpenAI Batch API)."""

MAX_BYTES = 200_000_000
"""Bytes of one batch's input file (OpenAI Batch API: 200 MB)."""


@dataclass(frozen=True)
class BatchState:
    """How far a batch is, as the provider says."""

    remote_id: str
    running: bool
    """Whether more may still come of it; its results are read when this is False."""
    status: str
    """The provider's word: `validating`, `failed`, `in_progress`, `completed`, `expired`, `cancelled`, ..."""
    completed: int
    """Requests answered."""
    failed: int
    total: int
    """0 until the provider has validated the batch."""
    errors: tuple[str, ...] = ()
    """Why the provider refused the batch as a whole: its first errors."""


class BatchEndpoint(Protocol):
    """A connection to one model's batch endpoint. Every call raises CompletionError when it fails."""

    @property
    def identity(self) -> ModelIdentity:
        """The model that answers: the same as of the direct connection, whose answers are the same."""
        ...

    def size(self, request_id: str, request: Request) -> int:
        """Bytes that `request` takes in a batch's input file."""
        ...

    def learn(self, refused: Mapping[str, tuple[Request, CompletionError]]) -> Mapping[str, CompletionError]:
        """What the endpoint's refusals of requests that one batch held are; those it is asked otherwise for now say so.

        By any key: the request with its refusal, and the refusal as it is understood (`adapted`).
        """
        ...

    async def submit(self, batch_id: str, requests: Mapping[str, Request]) -> str:
        """Hand in `requests` (by our request id) as the batch `batch_id`; the provider's id of it.

        A batch that may have been submitted before is looked for with `find` first; one whose submission failed may
        have come to be all the same, which `find` and then `abandon` tell. Raises ValueError for no request at all,
        and beyond MAX_REQUESTS or MAX_BYTES.
        """
        ...

    async def find(self, batch_id: str) -> str | None:
        """The provider's id of the batch that was submitted as `batch_id`; None when there is none."""
        ...

    async def abandon(self, batch_id: str) -> str | None:
        """See to it that a batch which was not found is never paid; the provider's id if it came to be after all."""
        ...

    async def state(self, remote_id: str) -> BatchState:
        """How far the batch is. Fails as REJECTED when the provider does not know it any more."""
        ...

    def results(self, remote_id: str) -> AsyncGenerator[tuple[str, Completion | CompletionError]]:
        """What came of each request of a batch that runs no more: (request id, completion or error), in any order.

        A request that was never executed may be missing, or come as an error that is retryable and not billed. Ids are
        as the provider gives them; reading again gives the same results. A failure half-way raises CompletionError
        after the results before it, REJECTED when the provider does not have them any more. Raises ValueError while
        the batch is running.
        """
        ...

    async def close(self) -> None:
        """Release connections."""
        ...


def split(
    endpoint: BatchEndpoint,
    requests: Iterable[tuple[str, Request]],
    *,
    max_requests: int = MAX_REQUESTS,
    max_bytes: int = MAX_BYTES,
) -> Iterator[dict[str, Request]]:
    """`requests`, in order, in as few batches as keep both limits. One batch is held in memory at a time.

    Raises ValueError for a request that is too large for a batch of its own, or an id that comes twice in a batch.
    """
    batch: dict[str, Request] = {}
    filled = 0
    for request_id, request in requests:
        size = endpoint.size(request_id, request)
        if size > max_bytes:
            raise ValueError(f"request {request_id} takes {size:,} bytes, and a batch may hold {max_bytes:,}")
        if batch and (len(batch) >= max_requests or filled + size > max_bytes):
            yield batch
            batch, filled = {}, 0
        if request_id in batch:
            raise ValueError(f"request {request_id} comes twice")
        batch[request_id] = request
        filled += size
    if batch:
        yield batch
