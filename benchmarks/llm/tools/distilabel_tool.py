"""distilabel: a pipeline of one EvolInstruct step with one evolution."""

# pyright: reportMissingImports=false
from __future__ import annotations

import os
from typing import Any

os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["DISTILABEL_LOG_LEVEL"] = "WARNING"

from distilabel.models import OpenAILLM
from distilabel.pipeline import Pipeline
from distilabel.steps import LoadDataFromDicts
from distilabel.steps.tasks import EvolInstruct

from benchmarks.llm.tools.harness import API_KEY, Account, Job, measure

SAME_WORDS = {"same": "<PROMPT>"}
"""Instead of its own templates, so that it sends the words that the others send."""


def work(job: Job) -> Any:
    """Its distiset. A batch is what it keeps in flight: it has no other setting for concurrency."""
    rows = [{"instruction": f"{question.system}\n\n{question.user}"} for question in job.questions]
    llm = OpenAILLM(
        model="mock",
        base_url=job.base_url,
        api_key=API_KEY,
        timeout=60,
        generation_kwargs={"max_new_tokens": 128},
    )
    with Pipeline(name="rewrites", cache_dir=str(job.state)) as pipeline:
        load = LoadDataFromDicts(data=rows, batch_size=job.parallel)
        evolve = EvolInstruct(llm=llm, num_evolutions=1, mutation_templates=SAME_WORDS, input_batch_size=job.parallel)
        load.connect(evolve)
    return pipeline.run(use_cache=job.again or job.resumable)


def account(_: Job, made: Any) -> Account:
    """Rows with an answer, and the sum of the tokens that its rows report."""
    rows = made["default"]["train"]
    kept = sum(1 for answer in rows["evolved_instruction"] if answer)
    return Account(kept, sum(_tokens(metadata) for metadata in rows["distilabel_metadata"]))


def _tokens(metadata: dict[str, Any] | None) -> int:
    """Every token count in a row's statistics."""
    statistics = [value for value in (metadata or {}).values() if isinstance(value, dict)]
    return sum(count or 0 for each in statistics for counts in each.values() for count in counts or ())


if __name__ == "__main__":
    measure(work, account)
