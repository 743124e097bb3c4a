"""Where things are and who is asked: the environment's `TEAMS_*` variables and `.env`, validated at start.

What changes from run to run is run config; what stays with a machine or a project is here. One loader serves the
command line, the UI and the daemon. Keys are `SecretStr`: never in a repr, a message or a file.

pydantic-settings is not used: it takes a misspelt variable of the environment in silence, lists as JSON only, and names
in any case, so that only the one line that merges the environment and `.env` could be its, for 0.7 s at every start.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, Json, JsonValue, SecretStr, ValidationError, field_validator

from teams_dagster.alert_settings import check_webhook, mail_server
from teams_dagster.core.protocol import Role
from teams_dagster.core.text import NANO
from teams_dagster.dataset.rotation import LONGEST
from teams_dagster.env_file import PREFIX, SettingsError, check_data_dir, own_variables, read_environment
from teams_dagster.instructions.prompts.own import PromptInvalid, use_own_prompts
from teams_dagster.ledger.budgets import Budget
from teams_dagster.ray_settings import RayRuns, check_ray
from teams_dagster.role_settings import (
    RoleSettings,
    absolute,
    explain,
    folder_or_name,
    listed,
    names_a_model,
    role_settings,
    shared_settings,
)

Preflight = Literal["required", "warn", "off"]

PairsMode = Literal["beside", "instead"]


class Settings(BaseModel):
    """Everything the environment says. Paths are absolute."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    root: Path
    data_dir: Path
    """Where everything is written; by default `data`."""
    ledger_url: str = Field(repr=False)  # it can hold a password
    """The ledger database, `sqlite:///...` or `postgresql://...`; by default SQLite in the data folder."""
    artefacts_url: str | None = None
    """Where several machines share the assets' outputs, such as `s3://bucket/project`; the data folder is a copy of it.
    By default nowhere."""
    dagster_home: Path
    """Where Dagster keeps its history; by default `$TEAMS_DATA_DIR/dagster`."""
    seeds: Path | None = None
    """Your seed file (JSON, JSONL, CSV or Parquet); by default the seeds that ship."""
    student: str | None = None
    """Folder, GGUF file, hub id or `smollm2` (`make models`): what is fine-tuned; by default the embedded tiny one."""
    pairs: Path | None = None
    """A file of instructions with answers that people wrote, read as a seed file is, to be trained and scored on."""
    pairs_mode: PairsMode = "beside"
    """`beside`: the pairs join the generations in `instruction_dataset`; `instead`: they are all of it."""
    evaluation_sets: tuple[Path, ...] = ()
    """Files, separated by commas, whose texts must not appear in seeds or samples."""
    prices: Path | None = None
    """Price file (TOML) for models without a published price, or with another; its entries come first."""
    prompts: Path | None = None
    """Folder whose files replace or add prompt templates by name; by default the templates that ship."""
    first_generation: date = date(2026, 1, 5)
    """The Monday of the first weekly generation."""
    seed_rotation_weeks: int = Field(default=1, ge=1, le=LONGEST)
    """Weeks in which every seed has one turn: each weekly generation has its share; with 1 every generation has all."""
    fresh_days: int | None = Field(default=None, ge=1)
    """Days after which `instruction_dataset` and `evaluation_scores` are overdue in the UI; by default never."""
    retrain_samples: int = Field(default=200, ge=1)
    """Kept samples that the adapters were not trained on before `retrain_on_new_samples` retrains them."""
    max_in_flight: int = Field(default=64, ge=1, le=4096)
    """Queries under way at once to one model, at most: fewer while it refuses them or they queue there."""
    workers: int | None = Field(default=None, ge=1, le=256)
    """Processes that ask side by side for a generation, its answers and their scores, a comparison, and a judged win
    rate. They share `TEAMS_MAX_IN_FLIGHT` and the limits a minute, and the result is the same. By default one; a large
    comparison that asks the embedded rules alone has one for each processor, at most four."""
    ray_address: str | None = None
    """The dashboard of a Ray cluster that takes jobs, `http://HOST:8265`; by default all runs on this machine."""
    ray_runs: RayRuns = "trainings"
    """What is a job of that cluster: `trainings`, each beside its step, which stays here; or `steps` of the jobs."""
    ray_gpus: float = Field(default=0, ge=0, allow_inf_nan=False)
    """GPUs that the cluster sets apart for a step, or its training, that trains or scores students; by default none."""
    training_tags: Json[dict[str, JsonValue]] = Field(default_factory=dict[str, JsonValue])
    """Tags, as a JSON object, of the runs of every job that trains or scores students, whoever launches them: what
    `dagster-k8s/config` says goes to Kubernetes, for a node with a GPU. By default none."""
    batch_wait_s: float = Field(default=3_600.0, ge=0, allow_inf_nan=False)
    """Seconds that a step waits for its batches before it ends, to be continued."""
    batch_poll_s: float = Field(default=30.0, gt=0, allow_inf_nan=False)
    """Seconds between two looks at a batch."""
    allow_http: bool = False
    """`1` lets plain http leave this machine."""
    alert_webhook_url: SecretStr | None = None
    """Where alerts are posted as JSON (`text`, `title`, `details`), as chat services take them; by default nowhere."""
    alert_mail_to: str | None = None
    """Who gets alerts by mail; several addresses are separated by commas."""
    alert_mail_server: SecretStr | None = None
    """The server that sends this mail: `smtps://user:password@mail.example.org`, or `smtp://` for STARTTLS."""
    budget_usd: Decimal | None = Field(default=None, ge=0)
    """Dollars that may be spent over this ledger's lifetime; by default no bound."""
    budget_queries: int | None = Field(default=None, ge=0)
    """Queries that may be sent over this ledger's lifetime; by default no bound."""
    budget_tokens: int | None = Field(default=None, ge=0)
    """Tokens that may be billed over this ledger's lifetime; by default no bound."""
    budget_policy_share: Decimal = Field(default=Decimal("0.5"), ge=0, le=1)
    """The part of these that training and comparing the policy may spend, 0 to 1: the rest is kept for a dataset."""
    model: str | None = None
    """The model of every role that names none itself, at `TEAMS_BASE_URL` with `TEAMS_API_KEY`."""
    base_url: str | None = None
    """The endpoint of `TEAMS_MODEL`; by default `https://api.openai.com/v1`."""
    api_key: SecretStr | None = None
    """The key of `TEAMS_MODEL`; not needed for an address of this machine."""
    preflight: Preflight = "required"
    """What a step does with a role that was not tried: try it and stop if it fails, try it and go on, or neither."""
    roles: dict[Role, RoleSettings] = Field(default_factory=dict[Role, RoleSettings])
    """The roles that the environment configures by themselves."""
    naming: frozenset[Role] = frozenset()
    """Those of `roles` that name a model of their own, be it the same as another's; others set their limits, say."""
    shared: RoleSettings | None = None
    """What `TEAMS_MODEL` and the variables beside it name."""

    @property
    def budget(self) -> Budget:
        """What bounds the project's lifetime."""
        nano_usd = None if self.budget_usd is None else int(self.budget_usd * NANO)
        return Budget(self.budget_queries, self.budget_tokens, nano_usd)

    @field_validator("artefacts_url")
    @classmethod
    def _names_storage(cls, value: str | None) -> str | None:
        scheme, separator, place = (value or "").partition("://")
        if value is not None and (not (scheme and separator and place) or scheme in ("http", "https")):
            raise ValueError("it is an address of object storage such as s3://bucket/folder, gs://bucket/folder")
        return value.rstrip("/") if value else None

    @field_validator("first_generation")
    @classmethod
    def _on_a_monday(cls, value: date) -> date:
        if value.weekday() != 0:
            raise ValueError(f"generations begin on a Monday and {value} is a {value:%A}")
        if value > datetime.now(UTC).date():
            raise ValueError(f"{value} has not come yet, so there would be no generation: give a Monday of the past")
        return value

    def role(self, role: Role) -> RoleSettings:
        """Who serves `role`: what it names itself, else `TEAMS_MODEL`; offline when nothing is configured at all.

        Raises SettingsError when other roles are configured and this one is not: no role ever stands in for another.
        """
        if found := self.roles.get(role) or self.shared:
            return found
        if not self.roles:
            return RoleSettings()
        name = f"{PREFIX}{role.name}"
        others = ", ".join(sorted(f"{PREFIX}{other.name}" for other in self.roles))
        raise SettingsError(
            f"{others} is configured but {name} is not: set {name}_MODEL and {name}_BASE_URL, TEAMS_MODEL for every"
            f" role that is not configured, or {name}_PROVIDER=offline to use the rule-based model for it"
        )

    @property
    def configured(self) -> tuple[Role, ...]:
        """The roles that a model is named for: by themselves, or by `TEAMS_MODEL`."""
        return tuple(role for role in Role if role in self.roles or self.shared is not None)

    def shared_roles(self, roles: Iterable[Role]) -> list[Role]:
        """Those of `roles` that name no model of their own and ask `TEAMS_MODEL`."""
        return [role for role in roles if self.shared is not None and role not in self.naming]

    def shared_line(self, roles: Iterable[Role]) -> str | None:
        """Which of `roles` ask `TEAMS_MODEL`, for people; None where none does."""
        served = ", ".join(role.value for role in self.shared_roles(roles))
        if self.shared is None or not served:
            return None
        return f"TEAMS_MODEL, {self.shared.model} at {self.shared.base_url}, serves {served}"


def find_root(start: Path | None = None) -> Path:
    """The project's root: the folder of workspace.yaml at or above `start`, else of this installation."""
    places = [start or Path.cwd(), *(start or Path.cwd()).parents, Path(__file__).parent.parent]
    for place in places:
        if (place / "workspace.yaml").is_file() and (place / "teams_dagster").is_dir():
            return place.absolute()
    raise SettingsError(f"no workspace.yaml at or above {places[0]}: run from inside the project")


def load_settings(root: Path | None = None) -> Settings:
    """Read `.env` in the root and the environment, whose variables win unless they are empty.

    The process asks with the prompts that they name from then on. Raises SettingsError naming the variable.
    """
    root = root or find_root()
    known = _known_variables()
    merged = read_environment(root, known)
    values = own_variables(merged, known)
    plain = {field: values[name] for name, field in known.items() if name in values and isinstance(field, str)}
    data_dir = absolute(root, plain.pop("data_dir", "data"))
    check_data_dir(data_dir)
    arguments: dict[str, object] = {"root": root, "data_dir": data_dir, **plain}
    arguments["ledger_url"] = _ledger_url(root, plain.get("ledger_url") or f"sqlite:///{data_dir / 'ledger.sqlite'}")
    arguments["dagster_home"] = absolute(root, merged.get("DAGSTER_HOME") or str(data_dir / "dagster"))
    if "student" in plain:
        file = absolute(root, plain["student"])
        named = str(file) if file.is_file() else folder_or_name(root, f"{PREFIX}STUDENT", plain["student"])
        arguments["student"] = named
    arguments |= {
        name: absolute(root, plain[name]) for name in ("seeds", "pairs", "prices", "prompts") if name in plain
    }
    if "evaluation_sets" in plain:
        arguments["evaluation_sets"] = [absolute(root, part) for part in listed(plain["evaluation_sets"])]
    try:
        allow_http = Settings.model_validate(arguments).allow_http
        shared = shared_settings(values, allow_http)
        roles = {role: found for role in Role if (found := role_settings(root, role, values, allow_http)) is not None}
        naming = [role for role in roles if names_a_model(role, values)]
        settings = Settings.model_validate({**arguments, "roles": roles, "naming": naming, "shared": shared})
        _check_alerts(settings)
        check_ray(settings.ray_address, settings.ray_runs, settings.ledger_url)
        use_own_prompts(settings.prompts)
    except ValidationError as error:
        raise SettingsError(explain(error)) from None
    except PromptInvalid as error:
        raise SettingsError(f"{PREFIX}PROMPTS: {error}") from None
    return settings


def plain_variables(root: Path) -> dict[str, str]:
    """The variables of this project that hold no secret, as environment and `.env` have them."""
    known = _known_variables()
    values = own_variables(read_environment(root, known), known)
    return {name: value for name, value in values.items() if not _is_secret(known[name])}


def _is_secret(field: str | tuple[Role, str]) -> bool:
    """Whether a variable of this field may hold a key or a password."""
    info = Settings.model_fields[field] if isinstance(field, str) else RoleSettings.model_fields[field[1]]
    return not info.repr or SecretStr in (info.annotation, *get_args(info.annotation))


def _check_alerts(settings: Settings) -> None:
    """Raises SettingsError for addresses that no alert would reach."""
    webhook, server = (
        None if secret is None else secret.get_secret_value()
        for secret in (settings.alert_webhook_url, settings.alert_mail_server)
    )
    if webhook is not None:
        check_webhook(webhook, settings.allow_http)
    mail_server(server, settings.alert_mail_to)


_NOT_OURS_TO_NAME = {"root", "dagster_home", "roles", "naming", "shared"}
"""Fields that are found, that Dagster names, or that several variables make up."""


def _known_variables() -> dict[str, str | tuple[Role, str]]:
    """Each variable's name, with the field that it sets."""
    known: dict[str, str | tuple[Role, str]] = {
        f"{PREFIX}{field.upper()}": field for field in Settings.model_fields if field not in _NOT_OURS_TO_NAME
    }
    for role in Role:
        known |= {f"{PREFIX}{role.name}_{field.upper()}": (role, field) for field in RoleSettings.model_fields}
    return known


def _ledger_url(root: Path, url: str) -> str:
    """The ledger's address, with the path of an SQLite file made absolute. Raises SettingsError for one with a `?`."""
    scheme, separator, path = url.partition(":///")
    if not separator or scheme != "sqlite":
        return url
    place = absolute(root, path)
    if "?" in str(place):
        raise SettingsError(f"TEAMS_LEDGER_URL: an address of SQLite ends at its ?: rename {place}")
    return f"{scheme}:///{place}"
