"""bespokelabs-curator: one LLM with a prompt and a parse function, called with a dataset."""

# pyright: reportMissingImports=false
from __future__ import annotations

import os
from typing import Any

# Without these it phones home, downloads a price list, and draws over the terminal.
os.environ["TELEMETRY_ENABLED"] = "false"
os.environ["CURATOR_DISABLE_RICH_DISPLAY"] = "1"
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"

# It imports the first two with its first question; imports are not timed.
import litellm  # noqa: F401
import openai  # noqa: F401
from bespokelabs import curator

from benchmarks.llm.tools.harness import API_KEY, Account, Job, measure


class Rewriter(curator.LLM):
    """Asks for the rewrite of a row's instruction."""

    def prompt(self, input: dict[str, Any]) -> list[dict[str, str]]:  # noqa: A002 - the parent's name
        """The messages."""
        return [{"role": "system", "content": input["system"]}, {"role": "user", "content": input["user"]}]

    def parse(self, input: dict[str, Any], response: str) -> dict[str, str]:  # noqa: A002 - the parent's name
        """The row with its answer."""
        return {"instruction": input["instruction"], "rewrite": response}


def work(job: Job) -> Any:
    """Curator's response, its dataset on disk. Its cache is always on, and resumes by itself."""
    os.environ["CURATOR_CACHE_DIR"] = str(job.state)
    rewriter = Rewriter(
        model_name="gpt-4o-mini",  # one that its price list knows
        backend="openai",
        generation_params={"max_tokens": 128},
        backend_params={
            "base_url": job.base_url,
            "api_key": API_KEY,
            "max_concurrent_requests": job.parallel,
            "max_requests_per_minute": 100_000_000,
            "max_tokens_per_minute": 10**12,
            "request_timeout": 60,
            "require_all_responses": False,
        },
    )
    rows = [{"instruction": q.instruction, "system": q.system, "user": q.user} for q in job.questions]
    return rewriter(rows)


def account(_: Job, made: Any) -> Account:
    """Rows of the dataset with an answer, and the tokens its response reports."""
    kept = sum(1 for answer in made.dataset["rewrite"] if answer)
    return Account(kept, made.token_usage.total)


if __name__ == "__main__":
    measure(work, account)
