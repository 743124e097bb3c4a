"""DataDesigner: a seed data frame and one LLM text column."""

# pyright: reportMissingImports=false
from __future__ import annotations

import logging
import os
import re
from typing import Any

# Without these it phones home.
os.environ["NEMO_TELEMETRY_ENABLED"] = "false"
os.environ["HF_HUB_OFFLINE"] = "1"

import data_designer.config as dd

# It imports these with its first dataset; imports are not timed.
import duckdb  # noqa: F401
import pandas as pd
import tiktoken  # noqa: F401
from data_designer.config.run_config import ResumeMode
from data_designer.interface import DataDesigner

from benchmarks.llm.tools.harness import API_KEY, Account, Job, measure

_TOKENS = re.compile(r"tokens: .*\btotal=(\d+)")


class _LoggedTokens(logging.Handler):
    """Sums the token counts of its usage summary: it tells them to its log alone."""

    total: int | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if found := _TOKENS.search(record.getMessage()):
            self.total = (self.total or 0) + int(found[1])


def work(job: Job) -> tuple[Any, _LoggedTokens]:
    """Its results, on disk as Parquet."""
    provider = dd.ModelProvider(name="local", endpoint=job.base_url, provider_type="openai", api_key=API_KEY)
    parameters = dd.ChatCompletionInferenceParams(max_parallel_requests=job.parallel, max_tokens=128, timeout=60)
    model = dd.ModelConfig(
        alias="expert", model="mock", provider="local", skip_health_check=True, inference_parameters=parameters
    )
    builder = dd.DataDesignerConfigBuilder(model_configs=[model])
    rows = [{"instruction": q.instruction, "system": q.system, "user": q.user} for q in job.questions]
    builder.with_seed_dataset(dd.DataFrameSeedSource(df=pd.DataFrame(rows)))
    builder.add_column(
        dd.LLMTextColumnConfig(name="rewrite", model_alias="expert", system_prompt="{{ system }}", prompt="{{ user }}")
    )
    designer = DataDesigner(artifact_path=job.state, model_providers=[provider])
    # It can only go on from a finished row group: small ones where it shall resume, its default elsewhere.
    designer.set_run_config(dd.RunConfig(buffer_size=50 if job.resumable else 1_000, otel_metrics_port=None))
    tokens = _LoggedTokens()
    logging.getLogger("data_designer").addHandler(tokens)
    resume = ResumeMode.IF_POSSIBLE if job.again else ResumeMode.NEVER
    made = designer.create(builder, num_records=len(job.questions), dataset_name="rewrites", resume=resume)
    return made, tokens


def account(_: Job, made: tuple[Any, _LoggedTokens]) -> Account:
    """Rows with an answer, and the tokens of its log."""
    results, tokens = made
    answers = results.load_dataset()["rewrite"]
    return Account(int((answers.notna() & (answers != "")).sum()), tokens.total)


if __name__ == "__main__":
    measure(work, account)
