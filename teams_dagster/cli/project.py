"""What several commands need: the settings, Dagster's home, run configuration, runs of this process, safe printing.

A run of a command ends with its process, and is closed when that is gone. Nothing that is printed controls the
terminal, whatever data, files or providers put into it.
"""

import os
import re
import socket
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import yaml

from teams_dagster.core.file_faults import Place, first_faults, value_faults, yaml_fault, yaml_line
from teams_dagster.core.files import read_text
from teams_dagster.core.protocol import Role
from teams_dagster.core.text import visible
from teams_dagster.core.type_guards import is_dict
from teams_dagster.settings import Settings, SettingsError, find_root, load_settings

if TYPE_CHECKING:
    import dagster as dg
    import pydantic

    from teams_dagster.ledger.writer import Ledger
    from teams_dagster.store.artefact_store import ArtefactStore

PROCESS_TAG = "teams/process"
"""Run tag: the machine and the process that a run is made in."""


def process_tags() -> dict[str, str]:
    """The tags of a run in this process."""
    return {PROCESS_TAG: f"{socket.gethostname()} {os.getpid()}"}


def close_dead_runs(instance: "dg.DagsterInstance") -> None:
    """Mark runs as failed whose process was killed, and free their places in pools: without the daemon nobody would.

    Those of another machine, in a storage that several share, are that machine's to close: here nobody can tell.
    """
    import dagster as dg

    for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
        machine, _, process = run.tags.get(PROCESS_TAG, "").rpartition(" ")
        here = machine in ("", socket.gethostname())  # earlier versions named no machine
        if process and here and not _alive(int(process)):
            instance.report_run_failed(run, f"its process {process} was killed; a later run continues its work")
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def say(text: str, *, err: bool = False) -> None:
    """Print `text` with every control and invisible character named; on standard error with `err`."""
    click.echo(visible(text), err=err)


ASKED = (Role.EXPERT, Role.REVIEWER, Role.INSTRUCTOR, Role.JUDGE)
"""The roles that every run of the whole graph asks."""


def prepare_home(settings: Settings) -> None:
    """Create DAGSTER_HOME, with the project's dagster.yaml unless it has one, and point Dagster at it.

    Raises ClickException where a folder cannot be made or written.
    """
    with naming_folder("TEAMS_DATA_DIR", settings.data_dir):
        settings.data_dir.mkdir(parents=True, exist_ok=True)
    home = settings.dagster_home
    with naming_folder("DAGSTER_HOME", home):
        home.mkdir(parents=True, exist_ok=True)
        config = home / "dagster.yaml"
        if not config.exists():
            config.write_text((settings.root / "dagster.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    os.environ["DAGSTER_HOME"] = str(home)


@contextmanager
def naming_folder(variable: str, folder: Path) -> Generator[None]:
    """What the system refuses in the block, as a ClickException that names the folder and its variable."""
    try:
        yield
    except OSError as error:
        raise click.ClickException(
            f"{variable}: {folder} cannot be used ({error}): set it to a folder that can be written"
        ) from None


@contextmanager
def project_ledger(settings: Settings) -> Generator["Ledger | None"]:
    """The project's ledger; None before anything was asked. Says which outputs that it knows are gone.

    Raises LedgerError, also when it was lost.
    """
    from teams_dagster.ledger.costs import existing_ledger
    from teams_dagster.store.kept_ledger import require_kept_ledger
    from teams_dagster.store.lost_outputs import lost_line, lost_outputs

    require_kept_ledger(settings.ledger_url, settings.data_dir)
    with existing_ledger(settings.ledger_url) as ledger:
        if ledger is not None and (lost := lost_outputs(ledger.engine, settings.ledger_url, settings.data_dir)):
            say(lost_line(lost, settings.data_dir), err=True)
        yield ledger


def say_what_is_lost(settings: Settings) -> None:
    """Say on stderr which outputs the ledger knows and the data folder has no longer."""
    from teams_dagster.ledger.database import LedgerError

    with suppress(LedgerError), project_ledger(settings):  # of a damaged ledger others tell
        pass


def what_is_lost(settings: Settings) -> list[str]:
    """The outputs that the ledger knows and the data folder has no longer; of a ledger that can be read."""
    from teams_dagster.ledger.costs import existing_ledger
    from teams_dagster.store.lost_outputs import lost_outputs

    with existing_ledger(settings.ledger_url) as ledger:
        return [] if ledger is None else lost_outputs(ledger.engine, settings.ledger_url, settings.data_dir)


def open_settings() -> Settings:
    """The settings. Raises ClickException naming the variable that is wrong."""
    try:
        return load_settings(find_root())
    except SettingsError as error:
        raise click.ClickException(str(error)) from None


def open_store(settings: Settings) -> "ArtefactStore":
    """The artefact store, with what other machines made. Raises ClickException where it cannot be reached."""
    from teams_dagster.store.artefact_store import ArtefactStore
    from teams_dagster.store.shared import SharedArtefactsFailed

    store = ArtefactStore(str(settings.data_dir), settings.artefacts_url, settings.ledger_url)
    try:
        store.synchronise()
    except SharedArtefactsFailed as error:
        raise click.ClickException(str(error)) from None
    return store


def check_ready(settings: Settings) -> None:
    """Say before anything is made what would stop the run later. Raises ClickException."""
    from teams_dagster.ledger.database import LedgerError
    from teams_dagster.store.kept_ledger import require_kept_ledger

    try:
        for role in ASKED:
            settings.role(role)
        require_kept_ledger(settings.ledger_url, settings.data_dir)
    except (SettingsError, LedgerError) as error:
        raise click.ClickException(str(error)) from None
    for name, files in (
        ("TEAMS_SEEDS", [settings.seeds]),
        ("TEAMS_PAIRS", [settings.pairs]),
        ("TEAMS_EVALUATION_SETS", settings.evaluation_sets),
    ):
        for file in files:
            if file is not None and not file.is_file():
                raise click.ClickException(f"{name} names {file}, and there is no such file")


def generation_of(partition: str | None) -> str:
    """The generation that is meant. Raises ClickException for a day that begins none."""
    from assets.partitions import GENERATIONS

    known = GENERATIONS.get_partition_keys()
    if partition and partition not in known:
        raise click.ClickException(f"{partition} is no generation: give a Monday from {known[0]} to {known[-1]}")
    return partition or known[-1]


def valid_config(run_config: dict[str, Any], job: str = "everything") -> Mapping[str, Any]:
    """A run configuration as a job takes it, defaults filled in. Raises ClickException for one that it does not."""
    import dagster as dg

    from teams_dagster.definitions import defs

    try:
        return dg.validate_run_config(defs.resolve_job_def(job), run_config)
    except dg.DagsterInvalidConfigError as error:
        raise wrong_config(error) from None


class RunConfigRefused(click.ClickException):
    """What is wrong with a run configuration, for people, and where in it."""

    def __init__(self, faults: Sequence[str], place: Place | None = None) -> None:
        self.told = first_faults(faults)
        self.place = place
        super().__init__(f"the run configuration cannot be used: {self.told}")


_PLACE = re.compile(r"at path root:?(?P<path>[\w:]*)")
_ENTRY = re.compile(r"unexpected config entr(?:y|ies) \W*(?P<name>\w+)")


def wrong_config(error: "dg.DagsterInvalidConfigError") -> RunConfigRefused:
    """What Dagster refuses of a run configuration."""
    faults = [problem.message.split(" Expected:")[0].splitlines()[0] for problem in error.errors]
    place, entry = _PLACE.search(faults[0]), _ENTRY.search(faults[0])
    path = [] if place is None else [part for part in place["path"].split(":") if part]
    return RunConfigRefused(faults, (*path, *([] if entry is None else [entry["name"]])))


def wrong_value(error: "pydantic.ValidationError") -> RunConfigRefused:
    """Which values of a run configuration are out of their bounds."""
    return RunConfigRefused([f"{error.title}, {value_faults(error)}"])


@contextmanager
def naming_config(file: Path | None) -> Generator[None]:
    """What is refused of a run configuration in the block, with the file that it was read from and the line."""
    try:
        yield
    except RunConfigRefused as refused:
        if file is None:
            raise
        line = None if refused.place is None else yaml_line(read_text(file), refused.place)
        at = "" if line is None else f", line {line}"
        raise click.ClickException(f"--config: {file}{at}: {refused.told}") from None


def config_of(run_config: dict[str, Any], name: str) -> dict[str, Any]:
    """The configuration of one asset or op in a run configuration, which is given one where it has none.

    Raises ClickException for what is no mapping.
    """
    ops = run_config["ops"] = _mapping(run_config.get("ops"), "ops", "{trained_policy: {config: ...}}")
    step = ops[name] = _mapping(ops.get(name), f"ops, {name}", "{config: ...}")
    step["config"] = _mapping(step.get("config"), f"ops, {name}, config", "{seeds: 40}")
    return step["config"]


def read_run_config(path: Path | None, latest: bool) -> dict[str, Any]:
    """The run configuration in a file, if any, with the choice of beginning the generation again.

    Raises ClickException for a file that holds no mapping, or none where assets are configured.
    """
    config = _mapping(_parsed(path), f"--config: {path}", "{ops: {trained_policy: {config: ...}}}") if path else {}
    if "ops" in config:
        config["ops"] = _mapping(config["ops"], f"--config: {path}, ops", "{trained_policy: {config: ...}}")
    if latest:
        config_of(config, "generated_instructions")["policy"] = "latest"
    return config


def _parsed(path: Path) -> Any:
    """What a YAML or JSON file holds. Raises ClickException."""
    try:
        return yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        raise click.ClickException(f"--config: {path} is no YAML or JSON: {yaml_fault(error)}") from None
    except UnicodeDecodeError as error:
        raise click.ClickException(f"--config: {path} is no YAML or JSON: it is no text ({error.reason})") from None


def _mapping(found: Any, place: str, example: str) -> dict[str, Any]:
    """`found`, where nothing at all stands for an empty one. Raises ClickException for what is no mapping."""
    if found is None:
        return {}
    if not is_dict(found):
        raise click.ClickException(f"{place} must hold a mapping such as {example}, and holds a {type(found).__name__}")
    return found
