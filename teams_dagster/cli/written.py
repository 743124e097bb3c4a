"""The demo's second profile: a real small model writes rewrites and answers, and a real small model reviews them."""

import json
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import click

from teams_dagster.instructions.prompts import FOLDER as PROMPTS
from teams_dagster.settings import Settings
from teams_dagster.weights import MINILM, SMOLLM2, models_folder

WRITTEN_SIZES = Path(__file__).parent / "written.yaml"
"""The run configuration: how many seeds."""

WRITTEN_FOLDER = "written"
"""Of the data folder."""

WRITTEN_JOB = "dataset"
"""No policy is trained and no student: operations are drawn uniformly, and the dataset is the end."""

PORT = 8137
"""Where llama.cpp serves the writer. Always the same: the address is part of a query's key."""

SLOTS = 6
"""Queries that are answered at once."""

_SAMPLING = {
    "temperature": 0.5,
    "repeat_penalty": 1.05,
    "dry_multiplier": 0.8,
    "stop": ["<in", "</in", "\nOutput:", "\nExplanation:"],
}
"""So small a model repeats itself, and goes on after its reply with an example of its own: there it is stopped."""

_WRITTEN_BY = {
    "TEAMS_EXPERT_PROVIDER": "openai",
    "TEAMS_EXPERT_MODEL": SMOLLM2,
    "TEAMS_EXPERT_BASE_URL": f"http://127.0.0.1:{PORT}/v1",
    "TEAMS_EXPERT_STRUCTURED": "grammar",
    "TEAMS_EXPERT_MAX_TOKENS": "256",
    "TEAMS_EXPERT_TIMEOUT_S": "300",
    "TEAMS_EXPERT_EXTRA": json.dumps(_SAMPLING),
    "TEAMS_REVIEWER_PROVIDER": "embedding",
    "TEAMS_REVIEWER_MODEL": MINILM,
    "TEAMS_PROMPTS": str(PROMPTS / "few_shot"),
    "TEAMS_MAX_IN_FLIGHT": str(SLOTS),
    **{f"TEAMS_{role}_PROVIDER": "offline" for role in ("INSTRUCTOR", "JUDGE")},
    **{f"TEAMS_{role}_MODEL": "rules" for role in ("INSTRUCTOR", "JUDGE")},
}


def choose_writer(settings: Settings) -> None:
    """Point this process at the two models and at the folder `written` of the data folder.

    What the environment or `.env` says of these variables does not count.
    """
    os.environ |= _WRITTEN_BY | {"TEAMS_DATA_DIR": str(settings.data_dir / WRITTEN_FOLDER)}


@contextmanager
def serving_writer(settings: Settings) -> Generator[None]:
    """llama.cpp serves the writer for the block. Raises ClickException where it cannot."""
    from resources.language_models.llama_server import LlamaServer, ServerNotStarted

    model = models_folder(settings.root) / f"{SMOLLM2}.gguf"
    if not model.is_file():
        raise click.ClickException(f"{model} does not exist: run make models")
    server = LlamaServer(model, port=PORT, slots=SLOTS)
    try:
        server.start()
    except ServerNotStarted as error:
        raise click.ClickException(str(error)) from None
    try:
        yield
    finally:
        server.kill()
