"""What a training script is asked to do, as a file: settings and paths only, so that reading it imports no torch."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from teams_dagster.student.adapter_config import AdapterConfig, Launcher

REQUEST, REPORT, FAILURE = "request.json", "report.json", "failure.txt"
MODEL, CHECKPOINTS, LOCK = "model", "checkpoints", ".training.lock"
WORKING_FILES = (REQUEST, FAILURE, LOCK)
"""Files in a training's folder that are nothing to keep once it has ended well; so is the folder of checkpoints."""


class TrainingRequest(BaseModel):
    """One training, and the folder that it may write to: what is trained goes to `model/`, its report beside it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: str = Field(description="Folder or hub id of the student before training.")
    train: Path = Field(description="Parquet file of the training side.")
    validation: Path = Field(description="Parquet file of the validation side.")
    folder: Path = Field(description="Where everything is written; one training at a time.")
    config: AdapterConfig = Field(description="How it is trained.")
    launcher: Launcher = Field(default="none", description="`none`: one process; or an accelerate configuration.")
    processes: int = Field(default=0, ge=0, description="Processes of the launcher; 0: one for each GPU.")
    parent: int = Field(description="Process that the training must not outlive.")

    def save(self) -> Path:
        """Writes it into its folder; returns the file."""
        path = self.folder / REQUEST
        path.write_text(self.model_dump_json(indent=1), encoding="utf-8")
        return path

    @classmethod
    def load(cls, path: Path) -> TrainingRequest:
        """Reads it. Raises ValueError where it is not one."""
        return cls.model_validate_json(path.read_text(encoding="utf-8"))
