"""Which model serves a role, and how it is asked: `TEAMS_<ROLE>_*`, and `TEAMS_MODEL` for roles that name none."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, cast, get_args
from urllib.parse import parse_qsl, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from teams_dagster.core.protocol import Role
from teams_dagster.env_file import PREFIX, SettingsError, check_key
from teams_dagster.weights import NAMES, WeightsMissing, small_model

OPENAI_URL = "https://api.openai.com/v1"

_ENDPOINTS = ("/chat/completions", "/completions", "/responses", "/messages")
"""Addresses that people copy whole where the base URL is wanted."""

Provider = Literal["offline", "openai", "transformers", "embedding"]

WRITING_PROVIDERS = ("openai", "transformers")
"""Those whose models write their replies token by token."""

Transport = Literal["direct", "batch"]

Parameter = Literal["temperature", "top_p", "seed"]

Structured = Literal["auto", "json_schema", "choice", "grammar", "logprobs", "off"]

_STRUCTURED: dict[Provider, tuple[Structured, ...]] = {
    "offline": ("auto", "off"),
    "openai": ("auto", "json_schema", "choice", "grammar", "off"),
    "embedding": ("auto", "off"),
    "transformers": ("auto", "logprobs", "off"),
}
"""How a model of each provider can be held to its replies."""

_OUR_OWN = {
    "messages": "what is asked",
    "model": "set by the role's _MODEL",
    "max_tokens": "set by the role's _MAX_TOKENS",
    "max_completion_tokens": "set by the role's _MAX_TOKENS",
    "seed": "what tells one query from its repetition",
    "n": "1: one query has one answer",
    "stream": "off: an answer is read as a whole",
}
"""Request parameters that `_EXTRA` may not hold, each with what it is."""


_HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?", re.ASCII)
_MODEL_FILES = (".gguf", ".safetensors", ".bin", ".json")


class RoleSettings(BaseModel):
    """Which model serves one role, and how it is asked: `TEAMS_<ROLE>_PROVIDER`, `_MODEL`, `_BASE_URL`, ..."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    provider: Provider = "offline"
    """Who answers: the embedded rules, any endpoint that speaks the OpenAI protocol, or local weights; for the reviewer
    also a sentence-embedding model. `openai` where only a model is named."""
    model: str = "rules"
    """Model name at the endpoint; for `transformers` a folder, a hub id or `smollm2`, for `embedding` a folder, a hub
    id or `minilm` (`make models`)."""
    base_url: str = ""
    """The endpoint; for provider `openai` by default `https://api.openai.com/v1`."""
    api_key: SecretStr | None = None
    """The endpoint's key; not needed for an address of this machine."""
    rpm: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Requests a minute at most, of one step; by default what the provider's headers say."""
    tpm: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Tokens a minute at most, of one step; by default what the provider's headers say."""
    timeout_s: float = Field(default=120.0, gt=0, allow_inf_nan=False)
    """Seconds that one attempt may take."""
    omit: tuple[Parameter, ...] = ()
    """Request parameters that the endpoint does not take, separated by commas."""
    max_tokens: int | None = Field(default=None, ge=1, le=1_000_000)
    """Tokens that any reply of this role may take, thinking included. By default an answer may take 2,048, a rewrite
    what its text can need, a verdict 16, an operation's name 32: too few for a model that thinks first."""
    extra: dict[str, Any] = Field(default_factory=dict[str, Any])
    """A JSON object of further request parameters, such as `{"reasoning_effort": "low"}`; written to the ledger."""
    transport: Transport = "direct"
    """`batch`: generations ask through the provider's batch endpoint, cheaper and within a day; training and judging
    ask directly."""

    structured: Structured = "auto"
    """How the model is held to the replies that a query allows (a verdict, an operation, a two-part rewrite):
    `json_schema` (`response_format`), `choice` (vLLM), `grammar` (llama.cpp), `logprobs` (local weights), or `off`: it
    is only told. `auto` finds out once for each endpoint and model, with at most seven short queries, and keeps to
    that; one that the ledger had answers of before there were constraints stays `off`, so that nothing is paid anew."""

    @field_validator("omit", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return listed(value) if isinstance(value, str) else value

    @field_validator("extra", mode="before")
    @classmethod
    def _object(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            found = json.loads(value)
        except ValueError as error:
            raise ValueError(f'it must be a JSON object such as {{"top_k": 40}}: {error}') from None
        if not isinstance(found, dict):
            raise ValueError('it must be a JSON object such as {"top_k": 40}')
        return cast(dict[str, Any], found)

    @field_validator("extra")
    @classmethod
    def _beside_our_own(cls, value: dict[str, Any]) -> dict[str, Any]:
        if taken := sorted(set(value) & _OUR_OWN.keys()):
            raise ValueError("; ".join(f"{name} is {_OUR_OWN[name]}" for name in taken))
        return value

    @property
    def leaves_machine(self) -> bool:
        """Whether queries go to somebody else, who may charge for them."""
        return self.provider == "openai" and not is_loopback(self.base_url)


_PLACE = frozenset({"provider", "base_url", "api_key"})
"""Settings that say where a role's model is."""


def role_settings(root: Path, role: Role, values: dict[str, str], allow_http: bool) -> RoleSettings | None:
    """A role's settings of the environment; None where none of its own variables is set.

    Args:
        root: The project's folder, which paths are relative to.
        role: Whose settings.
        values: Every `TEAMS_` variable that is set. A role that names neither provider, address nor key is served where
            every role is.
        allow_http: Whether plain http may leave this machine.

    Raises SettingsError naming the variable that is wrong.
    """
    name = f"{PREFIX}{role.name}"
    given = {
        field: values[f"{name}_{field.upper()}"]
        for field in RoleSettings.model_fields
        if f"{name}_{field.upper()}" in values
    }
    if not given:
        return None
    if not given.keys() & _PLACE:  # a key goes to no other address than its own
        given = {**_shared_values(values), **given}
    return _checked(root, name, given, allow_http)


def names_a_model(role: Role, values: Mapping[str, str]) -> bool:
    """Whether a role's own variables say who serves it, by model or by place: `TEAMS_MODEL` does not, then."""
    return any(f"{PREFIX}{role.name}_{field.upper()}" in values for field in ("model", *_PLACE))


def shared_settings(values: dict[str, str], allow_http: bool) -> RoleSettings | None:
    """What serves every role that names nothing itself."""
    given = _shared_values(values)
    if given and "model" not in given:
        raise SettingsError(
            f"{PREFIX}MODEL is not set, and {PREFIX}{next(iter(given)).upper()} is of no use without it"
        )
    return _checked(Path(), PREFIX.removesuffix("_"), given, allow_http) if given else None


def _shared_values(values: dict[str, str]) -> dict[str, str]:
    named = {field: f"{PREFIX}{field.upper()}" for field in ("model", "base_url", "api_key")}
    return {field: values[name] for field, name in named.items() if name in values}


def _checked(root: Path, name: str, given: dict[str, str], allow_http: bool) -> RoleSettings:
    """Settings of the variables that begin with `name`. Raises SettingsError."""
    provider = given.setdefault("provider", "openai")
    if provider not in get_args(Provider):
        raise SettingsError(f"{name}_PROVIDER must be one of {', '.join(get_args(Provider))}, not {provider!r}")
    if provider != "offline" and "model" not in given:
        raise SettingsError(f"{name}_MODEL is not set, and provider {provider!r} needs a model")
    if given.get("transport") == "batch" and provider != "openai":
        raise SettingsError(f"{name}_TRANSPORT=batch needs a provider with a batch endpoint, and {provider!r} has none")
    _check_structured(name, provider, given.get("structured", "auto"))
    if provider != "openai" and "extra" in given:
        raise SettingsError(f"{name}_EXTRA adds to requests of provider 'openai', and {provider!r} makes none")
    if provider not in WRITING_PROVIDERS and "max_tokens" in given:
        raise SettingsError(f"{name}_MAX_TOKENS bounds the tokens of replies, and provider {provider!r} writes none")
    if provider == "embedding" and name != f"{PREFIX}{Role.REVIEWER.name}":
        raise SettingsError(f"{name}_PROVIDER=embedding compares two texts and serves TEAMS_REVIEWER alone")
    if provider in ("transformers", "embedding"):
        given["model"] = folder_or_name(root, f"{name}_MODEL", given["model"])
    if "api_key" in given:
        check_key(f"{name}_API_KEY", given["api_key"])
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
        raise SettingsError(explain(error, prefix=f"{name}_")) from None


def _check_structured(name: str, provider: str, structured: str) -> None:
    taken = next(ways for known, ways in _STRUCTURED.items() if known == provider)
    if structured not in taken:
        raise SettingsError(
            f"{name}_STRUCTURED must be one of {', '.join(taken)} for provider {provider!r}, not {structured!r}"
        )


_LOOPBACK_NAMES = frozenset(
    {"localhost", "localhost4", "localhost6", "ip6-localhost", "ip6-loopback"}
    | {"localhost.localdomain", "localhost4.localdomain4", "localhost6.localdomain6"}
)
"""What systems call this machine in their `/etc/hosts`."""


def is_loopback(url: str) -> bool:
    """Whether `url` names this machine. `0.0.0.0`, which servers print as their address, is reached here too."""
    host = (urlsplit(url).hostname or "").removesuffix(".")
    address = _address(host)
    return host in _LOOPBACK_NAMES if address is None else address.is_loopback or address.is_unspecified


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that `host` is, in any of the ways to write one (`127.1`, `::ffff:127.0.0.1`); None for a name."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        try:
            return ipaddress.IPv4Address(socket.inet_aton(host))
        except OSError:
            return None
    return getattr(address, "ipv4_mapped", None) or address


def _check_url(name: str, url: str, allow_http: bool) -> None:
    """Raises SettingsError, which does not repeat a value that is no URL: it may be a key in the wrong place."""
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if "@" in url or any(parameter != "api-version" for parameter, _ in parse_qsl(parts.query, keep_blank_values=True)):
        raise SettingsError(
            f"{name} must hold neither credentials nor parameters other than api-version: put the key in"
            f" {name.removesuffix('BASE_URL')}API_KEY"
        )
    if parts.fragment:
        raise SettingsError(f"{name} has a #, and what follows one is never sent: leave it out")
    for endpoint in _ENDPOINTS:
        if parts.path.rstrip("/").endswith(endpoint):
            raise SettingsError(
                f"{name} ends in {endpoint}, which is added to it: set it to what comes before, such as {OPENAI_URL}"
            )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError(f"{name} must be an http(s) URL such as {OPENAI_URL}, and what it is set to is none")
    try:
        _ = parts.port
    except ValueError:
        raise SettingsError(f"{name}: the port after the colon must be a number up to 65535") from None
    if parts.scheme == "http" and not is_loopback(url) and not allow_http:
        raise SettingsError(f"{name} would send plain http to {parts.hostname}: use https, or set TEAMS_ALLOW_HTTP=1")


def listed(value: str) -> list[str]:
    """What stands between the commas of a list."""
    return [part.strip() for part in value.split(",") if part.strip()]


def absolute(root: Path, value: str) -> Path:
    """The path that a setting names: from the project's folder `root` unless it is absolute, or begins with `~`."""
    return Path(os.path.normpath(root / Path(value).expanduser()))


def folder_or_name(root: Path, variable: str, value: str) -> str:
    """A model's folder as an absolute path, that of a small model for its name, or a hub id as it is.

    Raises SettingsError for a small model that is not made, and for what can be no hub id and does not exist.
    """
    if value in NAMES:
        try:
            return str(small_model(root, value))
        except WeightsMissing as error:
            raise SettingsError(f"{variable}: {error}") from None
    path = absolute(root, value)
    if path.is_dir():
        return str(path)
    if (said := _no_hub_id(root, value, path)) is not None:
        raise SettingsError(f"{variable}: {value!r} {said}")
    return value


def _no_hub_id(root: Path, value: str, path: Path) -> str | None:
    """Why `value`, which is no folder, is no hub id either; None where it may be one."""
    if "://" in value:
        return "is an address: give the hub id alone, such as owner/model, or a model's folder"
    if path.is_file():
        return "is a file: give the folder that it lies in"
    gone = f"{path} does not exist: give a model's folder or a hub id"
    if path.suffix in _MODEL_FILES:
        return f"names a file, and {gone}"
    beside = "/" in value and (root / value.split("/")[0]).is_dir()
    if value.startswith((".", "/", "~")) or (beside and value.count("/") == 1):
        return f"names a folder, and {gone}"
    return None if _HUB_ID.fullmatch(value) else f"is no hub id such as owner/model, and {gone}"


def explain(error: ValidationError, prefix: str = PREFIX) -> str:
    """Pydantic's findings with the variables' names and values, keys apart."""
    found: list[str] = []
    for item in error.errors():
        name = f"{prefix}{str(item['loc'][0]).upper()}"  # what follows is a place within a list
        value = "" if name.endswith("_API_KEY") else f" (it is {item['input']!r})"
        found.append(f"{name}: {item['msg']}{value}")
    return "; ".join(found)
