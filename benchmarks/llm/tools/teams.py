"""This project: real rewrite questions through the engine, every attempt on the ledger."""

from __future__ import annotations

import uuid

# Imports are not timed, here as in the other tools; these are what the connection imports with its first question.
import aiohttp  # noqa: F401
import httpcore2  # noqa: F401
import httpx2  # noqa: F401
import openai  # noqa: F401
import pandas  # noqa: F401  # by pyarrow, with its first table
import pyarrow as pa
import pyarrow.parquet as pq
import uvloop  # noqa: F401

from benchmarks.llm.tools.harness import API_KEY, Account, Job, Question, measure
from resources.language_models.openai_compatible import OpenAICompatibleModel
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import Operation
from teams_dagster.core.protocol import Answer, Outcome, QueryFailed, Role
from teams_dagster.instructions.requests import rewrite_query
from teams_dagster.ledger.costs import total_cost
from teams_dagster.ledger.database import sqlite_url
from teams_dagster.ledger.writer import Ledger
from teams_dagster.llm import loop
from teams_dagster.llm.context import CallContext
from teams_dagster.llm.engine import Engine
from teams_dagster.llm.ordered import AHEAD, in_order
from teams_dagster.pricing.prices import load_prices

OPERATION = Operation.DEEPENING
"""What is asked of every instruction; the shared questions are its prompt, rendered."""

ROWS_AT_ONCE = 1_000

SCHEMA = pa.schema([("instruction", pa.string()), ("rewrite", pa.string())])
"""The file that a run ends with, as the other tools' do."""


def work(job: Job) -> int:
    """How many usable answers there are; each is durable on the ledger, and all are in a Parquet file."""
    job.state.mkdir(parents=True, exist_ok=True)
    return loop.run(_ask_all(job))


async def _ask_all(job: Job) -> int:
    model = OpenAICompatibleModel("mock", base_url=job.base_url, api_key=API_KEY)
    context = CallContext(run_id=uuid.uuid4().hex, asset_key="benchmark")
    with Ledger(sqlite_url(job.state / "ledger.sqlite")) as ledger:
        engine = Engine({Role.EXPERT: model}, ledger, context, load_prices(), max_in_flight=job.parallel)

        async def ask(question: Question) -> Answer | None:
            request = rewrite_query(Role.EXPERT, OPERATION, Instruction(question.instruction))
            try:
                return await engine.ask(request)
            except QueryFailed:
                return None

        usable, rows = 0, []
        with pq.ParquetWriter(job.state / "answers.parquet", SCHEMA) as file:
            questions = iter(job.questions)  # answers come in their order
            async for answer in in_order(ask, job.questions, width=AHEAD * job.parallel):
                question = next(questions)
                if answer is not None and answer.completion.outcome is Outcome.USABLE:
                    usable += 1
                    rows.append({"instruction": question.instruction, "rewrite": answer.completion.text})
                if len(rows) == ROWS_AT_ONCE:
                    file.write_table(pa.Table.from_pylist(rows, schema=SCHEMA))
                    rows = []
            file.write_table(pa.Table.from_pylist(rows, schema=SCHEMA))
        await engine.close()
    await model.close()
    return usable


def account(job: Job, made: int) -> Account:
    """Usable answers, the ledger's tokens and its unresolved attempts."""
    with Ledger(sqlite_url(job.state / "ledger.sqlite")) as ledger:
        cost = total_cost(ledger)
    return Account(made, cost.prompt_tokens + cost.completion_tokens, cost.unresolved)


if __name__ == "__main__":
    measure(work, account)
