"""The project's student as the language model that a policy reads with."""

from dataclasses import dataclass

from teams_dagster.policy.config import TrainingConfig
from teams_dagster.policy.reader.config import STUDENT, LanguageModelReaderConfig
from teams_dagster.policy.reader.reading import BaseNotGiven
from teams_dagster.store.artefact_store import ArtefactStore
from teams_dagster.store.facts.models import BaseFacts
from teams_dagster.student.adapter_config import MODEL


@dataclass(frozen=True)
class FoundStudent:
    """A training with the student that its policy reads with, found."""

    training: TrainingConfig
    """With the student's own folder or hub id as the base, where it has one outside the store."""
    folder: str | None
    """Where the student lies in the store, if it does; None: the policy needs none, or names it itself."""
    version: str | None
    """Of the student; None where the policy does not read with it."""

    @property
    def inputs(self) -> dict[str, str]:
        """What the policy is made from besides, by name to version."""
        return {} if self.version is None else {"base_model": self.version}


def find_student(training: TrainingConfig, store: ArtefactStore) -> FoundStudent:
    """The student that `training` reads with. Raises BaseNotGiven where it does, and there is no `base_model` yet."""
    reading = training.reader
    if not isinstance(reading, LanguageModelReaderConfig) or reading.base != STUDENT:
        return FoundStudent(training, None, None)
    if not store.exists("base_model"):
        raise BaseNotGiven
    base = store.current("base_model")
    facts = base.read_facts(BaseFacts)
    if facts.embedded or facts.unpacked:
        return FoundStudent(training, str(base.path(MODEL)), base.data_version)
    named = training.model_copy(update={"reader": reading.model_copy(update={"base": facts.student})})
    return FoundStudent(named, None, base.data_version)
