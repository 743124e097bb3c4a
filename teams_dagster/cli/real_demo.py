"""What `teams demo --real` runs with: two small real models, in a data folder of its own, at sizes that fit."""

import os
from pathlib import Path

from teams_dagster.settings import Settings

SIZES = Path(__file__).parent / "real.yaml"
"""Its run configuration."""

FOLDER = "real"
"""Of the data folder: the demo on real weights lies beside the quick one, with a report of its own."""

_MODELS = {
    "TEAMS_STUDENT": "smollm2",
    "TEAMS_REVIEWER_PROVIDER": "embedding",
    "TEAMS_REVIEWER_MODEL": "minilm",
    **{f"TEAMS_{role}_PROVIDER": "offline" for role in ("INSTRUCTOR", "EXPERT", "JUDGE")},
    **{f"TEAMS_{role}_MODEL": "rules" for role in ("INSTRUCTOR", "EXPERT", "JUDGE")},
}


def choose_real_models(settings: Settings) -> None:
    """Point this process, and those it starts, at these models and at the folder `real` of the data folder.

    What the environment or `.env` says of these variables does not count.
    """
    os.environ |= _MODELS | {"TEAMS_DATA_DIR": str(settings.data_dir / FOLDER)}
