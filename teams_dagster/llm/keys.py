"""The content keys of queries and of their uses."""

from __future__ import annotations

from teams_dagster.core.hashing import content_hash
from teams_dagster.core.protocol import ModelIdentity, Request


def request_key(identity: ModelIdentity, request: Request) -> str:
    """What makes two queries the same: who answers, what is sent, how it is decoded, which replica.

    Role, purpose and template are not part of it: the same words to the same model have the same answer. `request` is
    as it is sent (`constraints.as_sent`): how the model is held to which replies is part of it where it is.
    """
    sampling = request.sampling
    return content_hash(
        "request",
        identity.provider,
        identity.base_url,
        identity.model,
        identity.rules_version,
        [[message.role, message.content] for message in request.messages],
        [float(sampling.temperature), float(sampling.top_p), sampling.max_tokens],
        request.replica,
        *(request.held or ()),
    )


def use_id(
    run_id: str,
    asset_key: str,
    partition_key: str | None,
    transition_id: str | None,
    sample_id: str | None,
    purpose: str,
    key: str,
) -> str:
    """What makes two uses the same: a step that runs again in its run does not count its queries twice."""
    return content_hash("use", run_id, asset_key, partition_key, transition_id, sample_id, purpose, key)
