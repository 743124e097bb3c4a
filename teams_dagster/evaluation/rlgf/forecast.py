"""What a token-level training would ask, before it is asked."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import islice

from teams_dagster.core.instruction import from_user_message, user_message
from teams_dagster.core.protocol import Purpose, Role
from teams_dagster.dataset.export import examples_in
from teams_dagster.evaluation.judging import judge_query
from teams_dagster.evaluation.judging_forecast import BYTES_PER_TOKEN, ORDERS
from teams_dagster.instructions.requests import VERDICT
from teams_dagster.policy.query_forecast import SAMPLED, mean_bytes
from teams_dagster.pricing.forecast import QueryForecast
from teams_dagster.rlgf.config import RLGFConfig, TokenPPOPlusPlusConfig
from teams_dagster.rlgf.dataset_task import DatasetPrompts
from teams_dagster.rlgf.guides import Question
from teams_dagster.rlgf.role_guide import continuation_query
from teams_dagster.rlgf.run_request import RLGFRequest
from teams_dagster.rlgf.task import Task


def training_queries(request: RLGFRequest) -> list[QueryForecast]:
    """All queries of a training, none where neither guide nor judge is asked."""
    return queries_on(request.task, request.config, request.roles)


def queries_on(task: Task | DatasetPrompts, config: RLGFConfig, roles: Collection[Role]) -> list[QueryForecast]:
    """All queries of a training on `task` to `roles`, of which GUIDE and JUDGE are known."""
    if isinstance(task, Task):
        prompts, measured = list(task.prompts), len(task.evaluation)
    else:
        prompts = [user_message(example.instruction) for example in islice(examples_in(task.train), SAMPLED)]
        measured = min(task.evaluation_prompts, sum(1 for _ in examples_in(task.held_out)))
    guided = guide_queries(config, prompts) if Role.GUIDE in roles else []
    return [*guided, *(judge_queries(config, prompts, measured) if Role.JUDGE in roles else [])]


def evaluations_of(config: RLGFConfig) -> int:
    """How often a training measures its texts, before and after included."""
    every = config.evaluate_every
    return 2 + ((config.iterations - 1) // every if every else 0)


def in_batches(config: RLGFConfig, a_batch: int) -> int:
    """How many queries of which each batch takes at most so many; the batch that reaches `most_queries` is the last."""
    planned = config.iterations * a_batch
    return planned if config.most_queries is None else min(planned, config.most_queries + a_batch - 1)


def guide_queries(config: RLGFConfig, prompts: Sequence[str]) -> list[QueryForecast]:
    """The queries to the guide of a training after `prompts`; those that a switch leaves out are not known before."""
    texts = in_batches(config, config.texts)
    likely = round(config.algorithm.beta * texts) if isinstance(config.algorithm, TokenPPOPlusPlusConfig) else texts
    begun = "x" * (BYTES_PER_TOKEN * config.max_new_tokens // 2)
    asked = [continuation_query(Question(p, begun, config.max_new_tokens, "")) for p in prompts[:SAMPLED]]
    return [QueryForecast(Role.GUIDE, Purpose.RESPOND, 0, likely, texts, mean_bytes(asked), config.max_new_tokens)]


def judge_queries(config: RLGFConfig, prompts: Sequence[str], evaluation_prompts: int) -> list[QueryForecast]:
    """The queries to the judge of a training whose reward it is, each text, or pair of texts, in both orders.

    An answer that is the one it is compared with is not asked about, so there may be fewer.
    """
    measured = evaluations_of(config) * config.evaluation_texts * evaluation_prompts
    trained = in_batches(config, ORDERS * (config.texts // 2 if config.pairs else config.texts))
    most = trained + ORDERS * measured
    answer = "x" * (BYTES_PER_TOKEN * config.max_new_tokens // 2)
    asked = [judge_query(from_user_message(prompt), answer, answer) for prompt in prompts[:SAMPLED]]
    return [QueryForecast(Role.JUDGE, Purpose.JUDGE, 0, most, most, mean_bytes(asked), VERDICT.max_tokens)]
