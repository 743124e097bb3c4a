"""A Ray cluster that trainings, or all steps, are jobs of."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Literal
from urllib.parse import urlsplit

from teams_dagster.env_file import SettingsError
from teams_dagster.role_settings import is_loopback

RayRuns = Literal["trainings", "steps"]

ADDRESS, RUNS = "TEAMS_RAY_ADDRESS", "TEAMS_RAY_RUNS"

_PACKAGE = "dagster_ray"


def check_ray(address: str | None, runs: RayRuns, ledger_url: str) -> None:
    """Raises SettingsError for a cluster that cannot be used: no address, no package, a ledger that it cannot share."""
    if address is None:
        return
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError(
            f"{ADDRESS} {address} is no address of a Ray dashboard, which takes jobs: http://HOST:8265, as `ray start"
            " --head` prints it"
        )
    if find_spec(_PACKAGE) is None:
        raise SettingsError(
            f"{ADDRESS} is {address} and the package dagster-ray is not installed: pip install 'teams-dagster[ray]', or"
            f" unset {ADDRESS}"
        )
    if runs == "steps" and ledger_url.startswith("sqlite:") and not is_loopback(address):
        raise SettingsError(
            f"TEAMS_LEDGER_URL is a file of SQLite, which one machine can use, and {RUNS}=steps lets the nodes of"
            f" {address} write to it: set TEAMS_LEDGER_URL to postgresql://..., or {RUNS}=trainings"
        )
