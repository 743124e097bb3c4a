"""Table `transitions`: each column once, with its type and what it holds."""

from __future__ import annotations

from typing import Annotated, NotRequired, TypedDict, get_type_hints


class TransitionRow(TypedDict):
    """A row but for its hash, columns in the order of the file; NULL where a type says None.

    `Transition.row` makes it, the schema of the file and the description of every column are read from it.
    """

    transition_id: Annotated[str, "The transition: a hash of its place"]
    episode_id: Annotated[str, "The chain it is in"]
    seed_id: Annotated[str, "The seed at the root of the chain"]
    purpose: Annotated[str, "What it was made for: `train`, `compare` or `generate`"]
    step: Annotated[int, "Place in the chain, from 0"]
    operation: Annotated[str, "What was chosen"]
    probability: Annotated[float, "How likely it was to be chosen"]
    policy: Annotated[str, "Who chose: `trained`, or the name of a baseline such as `uniform`"]
    policy_version: Annotated[str, "Content hash of the policy"]
    parent_id: Annotated[str, "The text before (`instructions`)"]
    reward: Annotated[float, "What the transition earned"]
    accepted: Annotated[
        bool, "Whether the text after is kept: an operation other than `none`, Not Equal, no elimination rule"
    ]
    queries: Annotated[int, "Queries it needed, paid or reused, without those asked to choose (`guidance_queries`)"]
    parent_transition_id: Annotated[str | None, "The transition it continues; NULL: it edits the seed"]
    iteration: Annotated[int | None, "Training iteration"]
    partition_key: Annotated[str | None, "The generation's week"]
    episode: Annotated[int | None, "Which of the seed's episodes, from 0"]
    replica: Annotated[int | None, "Which answer was asked for; sent as the request's `seed`"]
    instruction_id: Annotated[str | None, "The text after (`instructions`); NULL when no rewrite came back"]
    rewrite_request_id: Annotated[str | None, "The attempt that rewrote (`llm_calls`)"]
    review_request_id: Annotated[str | None, "The attempt that reviewed (`llm_calls`)"]
    prompt_version: Annotated[str | None, "The rewriting prompt"]
    review_prompt_version: Annotated[str | None, "The reviewing prompt"]
    pool_version: Annotated[str | None, "The texts that novelty is measured against"]
    verdict: Annotated[
        str | None, "What the reviewer said: `equal`, `not_equal` or `unclear`; of both orders where both were asked"
    ]
    eliminated_by: Annotated[str | None, "The rule that refused the text"]
    failure: Annotated[str | None, "Why the episode was cut short, where a query failed for good"]
    novelty: Annotated[float | None, "Distance to earlier texts and the pool"]
    sample_id: Annotated[NotRequired[str | None], "The sample made from it, or NULL"]
    reward_preset: Annotated[
        str | None,
        "How the reward is counted: `paper`, `graded` or `dollars`; with `_soft`, by the probability of the verdict",
    ]
    chosen_by: Annotated[
        str | None,
        "How it was chosen: `policy` (drawn from its probabilities), `guide` (named by it), `fallback` "
        "(drawn, because the guide's answer could not be read), `look_ahead`, `branch` (one of all "
        "choices that a training tries from the same state)",
    ]
    proposed: Annotated[
        str | None, "The operation that the guide named; NULL where it was not asked or could not be read"
    ]
    guide_request_id: Annotated[str | None, "The attempt in which the guide answered"]
    unread_request_id: Annotated[str | None, "An attempt of the guide before it whose answer could not be read"]
    guidance_queries: Annotated[int | None, "Queries asked to choose: of the guide, or by a look-ahead"]
    verdict_probability: Annotated[
        float | None,
        "How likely the reviewer was to say Not Equal, given that it says that or Equal; the mean of both orders where"
        " both were asked. NULL where it gave no probability",
    ]
    turned_review_request_id: Annotated[
        str | None, "The attempt that reviewed with the two texts the other way round (`llm_calls`)"
    ]
    orders_agree: Annotated[
        bool | None,
        "Whether both orders had the same verdict; NULL where one order was asked, or one verdict could not be read",
    ]
    order_difference: Annotated[
        float | None, "Probability of Not Equal with the texts in their order, less that the other way round"
    ]
    run_id: Annotated[NotRequired[str | None], "The run that wrote the row"]


EDIT_ANSWERS = ("rewrite_request_id", "review_request_id", "turned_review_request_id")
"""The columns that name the answers behind an edit. Files of earlier versions lack the last one."""

ANSWERS = (*EDIT_ANSWERS, "guide_request_id", "unread_request_id")
"""The columns that name any answer that a transition used."""


def transition_columns() -> dict[str, str]:
    """What each column holds."""
    hints = get_type_hints(TransitionRow, include_extras=True)
    return {column: hint.__metadata__[0] for column, hint in hints.items()}
