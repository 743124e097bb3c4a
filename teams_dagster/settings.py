"""Where things are and who is asked: the environment's `TEAMS_*` variables and `.env`, validated at start.

What changes from run to run is run config; what stays with a machine or a project is here. One loader serves the
command line, the UI and the daemon. Keys are `SecretStr`: never in a repr, a message or a file.

pydantic-settings is not used: it takes a misspelt variable of the environment in silence, lists as JSON only, and names
in any case, so that only the one line that merges the environment and `.env` could be its, for 0.7 s at every start.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from teams_dagster.core.protocol import Role
from teams_dagster.core.text import NANO
from teams_dagster.ledger.budgets import Budget

PREFIX = "TEAMS_"

OPENAI_URL = "https://api.openai.com/v1"

Provider = Literal["offline", "openai", "transformers"]

Transport = Literal["direct", "batch"]

Parameter = Literal["temperature", "top_p", "seed"]

Structured = Literal["auto", "json_schema", "choice", "grammar", "logprobs", "off"]

_STRUCTURED: dict[Provider, tuple[Structured, ...]] = {
    "offline": ("auto", "off"),
    "openai": ("auto", "json_schema", "choice", "grammar", "off"),
    "transformers": ("auto", "logprobs", "off"),
}
"""How a model of each provider can be held to its replies."""


class SettingsError(ValueError):
    """A setting that cannot be used, named by its variable."""


class RoleSettings(BaseModel):
    """Which model serves one role, and how it is asked: `TEAMS_<ROLE>_PROVIDER`, `_MODEL`, `_BASE_URL`, ..."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    provider: Provider = "offline"
    """Who answers: the embedded rules, any endpoint that speaks the OpenAI protocol, or local weights. `openai` where
    only a model is named."""
    model: str = "rules"
    """Model name at the endpoint; a folder or hub id for `transformers`."""
    base_url: str = ""
    """The endpoint; for provider `openai` by default `https://api.openai.com/v1`."""
    api_key: SecretStr | None = None
    """The endpoint's key; not needed for an address of this machine."""
    rpm: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Requests a minute at most, of this process; by default what the provider's headers say."""
    tpm: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Tokens a minute at most, of this process; by default what the provider's headers say."""
    timeout_s: float = Field(default=120.0, gt=0, allow_inf_nan=False)
    """Seconds that one attempt may take."""
    omit: tuple[Parameter, ...] = ()
    """Request parameters that the endpoint does not take, separated by commas."""
    transport: Transport = "direct"
    """`batch`: generations ask through the provider's batch endpoint, cheaper and within a day; training and judging
    ask directly."""

    structured: Structured = "auto"
    """How the model is held to the replies that a query allows (a verdict, an operation, a two-part rewrite):
    `json_schema` (`response_format`), `choice` (vLLM), `grammar` (llama.cpp), `logprobs` (local weights), or `off`: it
    is only told. `auto` finds out once for each endpoint and model, with at most six short queries, and keeps to that;
    one that the ledger had answers of before there were constraints stays `off`, so that nothing is paid anew."""

    @field_validator("omit", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return _parts(value) if isinstance(value, str) else value

    @property
    def leaves_machine(self) -> bool:
        """Whether questions go to somebody else, who may charge for them."""
        return self.provider == "openai" and not is_loopback(self.base_url)


class Settings(BaseModel):
    """Everything the environment says. Paths are absolute."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    root: Path
    data_dir: Path
    """Where everything is written; by default `data`."""
    ledger_url: str = Field(repr=False)  # it can hold a password
    """The ledger database, `sqlite:///...` or `postgresql://...`; by default SQLite in the data folder."""
    dagster_home: Path
    """Where Dagster keeps its history; by default `$TEAMS_DATA_DIR/dagster`."""
    seeds: Path | None = None
    """Your seed file (JSON, JSONL, CSV or Parquet); by default the seeds that ship."""
    student: str | None = None
    """Folder or hub id of the model to fine-tune; by default the embedded tiny one."""
    evaluation_sets: tuple[Path, ...] = ()
    """Files, separated by commas, whose texts must not appear in seeds or samples."""
    prices: Path | None = None
    """Price file (TOML) for models without a published price, or with another; its entries come first."""
    first_generation: date = date(2026, 1, 5)
    """The Monday of the first weekly generation."""
    max_in_flight: int = Field(default=64, ge=1, le=4096)
    """Queries under way at once to one model, at most: fewer while it refuses them or they queue there."""
    batch_wait_s: float = Field(default=3_600.0, ge=0, allow_inf_nan=False)
    """Seconds that a step waits for its batches before it ends, to be continued."""
    batch_poll_s: float = Field(default=30.0, gt=0, allow_inf_nan=False)
    """Seconds between two looks at a batch."""
    allow_http: bool = False
    """`1` lets plain http leave this machine."""
    budget_usd: Decimal | None = Field(default=None, ge=0)
    """Dollars that may be spent over this ledger's lifetime; by default no bound."""
    budget_queries: int | None = Field(default=None, ge=0)
    """Queries that may be sent over this ledger's lifetime; by default no bound."""
    budget_tokens: int | None = Field(default=None, ge=0)
    """Tokens that may be billed over this ledger's lifetime; by default no bound."""
    roles: dict[Role, RoleSettings] = Field(default_factory=dict[Role, RoleSettings])
    """The roles that the environment configures."""

    @property
    def budget(self) -> Budget:
        """What bounds the project's lifetime."""
        nano_usd = None if self.budget_usd is None else int(self.budget_usd * NANO)
        return Budget(self.budget_queries, self.budget_tokens, nano_usd)

    @field_validator("first_generation")
    @classmethod
    def _on_a_monday(cls, value: date) -> date:
        if value.weekday() != 0:
            raise ValueError(f"generations begin on a Monday and {value} is a {value:%A}")
        return value

    def role(self, role: Role) -> RoleSettings:
        """Who serves `role`: offline when nothing is configured at all.

        Raises SettingsError when other roles are configured and this one is not: no role ever stands in for another.
        """
        if found := self.roles.get(role):
            return found
        if not self.roles:
            return RoleSettings()
        name = f"{PREFIX}{role.name}"
        others = ", ".join(sorted(f"{PREFIX}{other.name}" for other in self.roles))
        raise SettingsError(
            f"{others} is configured but {name} is not: set {name}_MODEL and {name}_BASE_URL,"
            f" or {name}_PROVIDER=offline to use the rule-based model for it"
        )


def find_root(start: Path | None = None) -> Path:
    """The project's root: the folder of workspace.yaml at or above `start`, else of this installation."""
    places = [start or Path.cwd(), *(start or Path.cwd()).parents, Path(__file__).parent.parent]
    for place in places:
        if (place / "workspace.yaml").is_file() and (place / "teams_dagster").is_dir():
            return place.absolute()
    raise SettingsError(f"no workspace.yaml at or above {places[0]}: run from inside the project")


def load_settings(root: Path | None = None) -> Settings:
    """Read `.env` in the root and the environment, whose variables win unless they are empty.

    Raises SettingsError naming the variable.
    """
    root = root or find_root()
    merged = {**dotenv_values(root / ".env"), **{name: value for name, value in os.environ.items() if value}}
    values = {name: value for name, value in merged.items() if name.startswith(PREFIX) and value}
    known = _known_variables()
    _refuse_unknown(values, known)
    plain = {field: values[name] for name, field in known.items() if name in values and isinstance(field, str)}
    data_dir = _absolute(root, plain.pop("data_dir", "data"))
    arguments: dict[str, object] = {"root": root, "data_dir": data_dir, **plain}
    arguments["ledger_url"] = _ledger_url(root, plain.get("ledger_url") or f"sqlite:///{data_dir / 'ledger.sqlite'}")
    arguments["dagster_home"] = _absolute(root, merged.get("DAGSTER_HOME") or str(data_dir / "dagster"))
    if "student" in plain:
        arguments["student"] = _folder_or_name(root, plain["student"])
    arguments |= {name: _absolute(root, plain[name]) for name in ("seeds", "prices") if name in plain}
    if "evaluation_sets" in plain:
        arguments["evaluation_sets"] = [_absolute(root, part) for part in _parts(plain["evaluation_sets"])]
    try:
        allow_http = Settings.model_validate(arguments).allow_http
        roles = {role: found for role in Role if (found := _role(root, role, values, allow_http)) is not None}
        return Settings.model_validate({**arguments, "roles": roles})
    except ValidationError as error:
        raise SettingsError(_explain(error)) from None


_NOT_OURS_TO_NAME = {"root", "dagster_home", "roles"}
"""Fields that are found, that Dagster names, or that several variables make up."""


def _known_variables() -> dict[str, str | tuple[Role, str]]:
    """Each variable's name, with the field that it sets."""
    known: dict[str, str | tuple[Role, str]] = {
        f"{PREFIX}{field.upper()}": field for field in Settings.model_fields if field not in _NOT_OURS_TO_NAME
    }
    for role in Role:
        known |= {f"{PREFIX}{role.name}_{field.upper()}": (role, field) for field in RoleSettings.model_fields}
    return known


def _refuse_unknown(names: Iterable[str], known: Iterable[str]) -> None:
    for name in sorted(set(names) - set(known)):
        nearest = difflib.get_close_matches(name, list(known), n=1)
        hint = f"; did you mean {nearest[0]}?" if nearest else ""
        raise SettingsError(f"{name} is no setting of this project{hint}")


def _role(root: Path, role: Role, values: dict[str, str], allow_http: bool) -> RoleSettings | None:
    name = f"{PREFIX}{role.name}"
    given = {
        field: values[f"{name}_{field.upper()}"]
        for field in RoleSettings.model_fields
        if f"{name}_{field.upper()}" in values
    }
    if not given:
        return None
    provider = given.setdefault("provider", "openai")
    if provider not in get_args(Provider):
        raise SettingsError(f"{name}_PROVIDER must be one of {', '.join(get_args(Provider))}, not {provider!r}")
    if provider != "offline" and "model" not in given:
        raise SettingsError(f"{name}_MODEL is not set, and provider {provider!r} needs a model")
    if given.get("transport") == "batch" and provider != "openai":
        raise SettingsError(f"{name}_TRANSPORT=batch needs a provider with a batch endpoint, and {provider!r} has none")
    _check_structured(name, provider, given.get("structured", "auto"))
    if provider == "transformers":
        given["model"] = _folder_or_name(root, given["model"])
    if provider == "openai":
        given.setdefault("base_url", OPENAI_URL)
        _check_url(f"{name}_BASE_URL", given["base_url"], allow_http)
        if "api_key" not in given and not is_loopback(given["base_url"]):
            raise SettingsError(
                f"{name}_API_KEY is not set, and {given['base_url']} is not on this machine: set the key, or"
                f" {name}_BASE_URL to a server on this machine"
            )
    try:
        return RoleSettings.model_validate(given)
    except ValidationError as error:
        raise SettingsError(_explain(error, prefix=f"{name}_")) from None


def _check_structured(name: str, provider: str, structured: str) -> None:
    taken = next(ways for known, ways in _STRUCTURED.items() if known == provider)
    if structured not in taken:
        raise SettingsError(
            f"{name}_STRUCTURED must be one of {', '.join(taken)} for provider {provider!r}, not {structured!r}"
        )


def is_loopback(url: str) -> bool:
    """Whether `url` names this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_url(name: str, url: str, allow_http: bool) -> None:
    """Raises SettingsError, which does not repeat a value that is no URL: it may be a key in the wrong place."""
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if "@" in url or parts.query:
        raise SettingsError(
            f"{name} must hold neither credentials nor parameters: put the key in"
            f" {name.removesuffix('BASE_URL')}API_KEY"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError(f"{name} must be an http(s) URL such as {OPENAI_URL}, and what it is set to is none")
    if parts.scheme == "http" and not is_loopback(url) and not allow_http:
        raise SettingsError(f"{name} would send plain http to {parts.hostname}: use https, or set TEAMS_ALLOW_HTTP=1")


def _parts(value: str) -> list[str]:
    """What stands between the commas of a list."""
    return [part.strip() for part in value.split(",") if part.strip()]


def _absolute(root: Path, value: str) -> Path:
    return Path(os.path.normpath(root / Path(value).expanduser()))


def _folder_or_name(root: Path, value: str) -> str:
    """A model's folder as an absolute path, or its hub id as it is.

    Raises SettingsError for what is plainly meant as a path and does not exist.
    """
    path = _absolute(root, value)
    if path.is_dir():
        return str(path)
    if value.startswith((".", "/", "~")):
        raise SettingsError(f"{value!r} names a folder, and {path} does not exist: give a model's folder or a hub id")
    return value


def _ledger_url(root: Path, url: str) -> str:
    """The ledger's address, with the path of an SQLite file made absolute."""
    scheme, separator, path = url.partition(":///")
    return f"{scheme}:///{_absolute(root, path)}" if separator and scheme == "sqlite" else url


def _explain(error: ValidationError, prefix: str = PREFIX) -> str:
    """Pydantic's findings with the variables' names and values, keys apart."""
    found: list[str] = []
    for item in error.errors():
        name = f"{prefix}{str(item['loc'][0]).upper()}"  # what follows is a place within a list
        value = "" if name.endswith("_API_KEY") else f" (it is {item['input']!r})"
        found.append(f"{name}: {item['msg']}{value}")
    return "; ".join(found)
