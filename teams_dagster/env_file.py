"""The environment and `.env` as one mapping: any editor's encoding, and no name that is misspelt without a word."""

from __future__ import annotations

import difflib
import os
import re
import unicodedata
from collections.abc import Collection, Mapping
from io import StringIO
from pathlib import Path

from dotenv import dotenv_values

from teams_dagster.core.files import read_text
from teams_dagster.core.lookalikes import bare_word, folded_text
from teams_dagster.env_lines import PREFIX, line_faults, plainly_meant

_ALIKE = 0.8
"""How near a name without the prefix must be to a setting's to be taken for that setting, misspelt."""


_OTHERS = (
    *("BASE_URL", "API_KEY", "DATA_DIR", "LEDGER_URL", "ALLOW_HTTP", "RAY_ADDRESS", "RAY_GPUS", "RAY_RUNS"),
    *("ALERT_WEBHOOK_URL", "ALERT_MAIL_TO", "ALERT_MAIL_SERVER"),
    *("JUDGE_MODEL", "JUDGE_PROVIDER", "JUDGE_BASE_URL", "JUDGE_API_KEY"),
)
"""Settings whose names, without the prefix, are in the environment for other programs; one word alone is, too."""
_HOST = "_SERVICE_HOST"
_OF_SERVICE = re.compile(r"_SERVICE_HOST|_SERVICE_PORT(_[A-Z0-9_]+)?|_PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?")
"""What follows a service's name in the variables that Kubernetes gives to every pod of the service's namespace."""


class SettingsError(ValueError):
    """A setting that cannot be used, named by its variable."""


def read_environment(root: Path, known: Collection[str]) -> dict[str, str]:
    """`.env` in the root and the environment, whose variables win unless they are empty; `known` are the settings.

    Raises SettingsError for a file that cannot be read as text, or has another ending, and for a line of it that is
    plainly meant as a setting and is none.
    """
    place, given = root / ".env", {name: value for name, value in os.environ.items() if value}
    try:
        text = read_text(place) if place.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{place} cannot be read ({error}): save it as UTF-8 text") from None
    if not place.exists() and (hidden := root / ".env.txt").exists():
        raise SettingsError(f"{hidden} is not read: rename it to .env")
    if (fault := next(line_faults(place, text, known, given), None)) is not None:
        raise SettingsError(fault)
    written = dotenv_values(stream=StringIO(text))
    return {**{name: value for name, value in written.items() if value}, **given}


def own_variables(merged: Mapping[str, str], known: Collection[str]) -> dict[str, str]:
    """The variables of this project. Raises SettingsError for one that is none of `known`, or plainly meant as one."""
    joined = {name.replace("_", "", 1): name for name in known}
    services = [name.removesuffix(_HOST) for name in merged if name.endswith(_HOST)]
    for name in sorted(merged):
        if any(name.startswith(service) and _OF_SERVICE.fullmatch(name, len(service)) for service in services):
            continue
        if (meant := _misspelt_prefix(name, known, joined)) is not None:
            raise SettingsError(f"{name} is no setting of this project; did you mean {meant}?")
        if name in known:
            continue
        meant = plainly_meant(name, known)
        if meant is not None and meant not in merged and "_" in name and name.upper() not in _OTHERS:
            raise SettingsError(f"{name} is no setting of this project; did you mean {meant}?")
        if not name.upper().startswith(PREFIX):
            continue
        ours = name.startswith(PREFIX)
        nearest = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.6 if ours else _ALIKE)
        if ours or nearest:
            hint = f"; did you mean {nearest[0]}?" if nearest else ""
            raise SettingsError(f"{name} is no setting of this project{hint}")
    return {name: value for name, value in merged.items() if name in known}


def _misspelt_prefix(name: str, known: Collection[str], joined: Mapping[str, str]) -> str | None:
    """The setting that `name` is but for its prefix, a letter's look, or a character nobody sees; None for none.

    `joined` has the settings under their names without the first underscore.
    The first letter tells `TAEMS_` from `STEAM_`, the length tells `TEAM_` from `TEAMVIEWER_`.
    """
    if name in known:
        return None
    visible = bare_word(folded_text(name)).upper()
    prefix, _, rest = visible.partition("_")
    if visible in joined:
        return joined[visible]
    meant = f"{PREFIX}{rest}"
    about_as_long = abs(len(prefix) + 1 - len(PREFIX)) <= 1
    if meant not in known or not prefix.startswith(PREFIX[0]) or not about_as_long:
        return None
    return meant if difflib.SequenceMatcher(None, f"{prefix}_", PREFIX).ratio() >= _ALIKE else None


def check_key(name: str, key: str) -> None:
    """Refuse a key that no HTTP header can carry, as it comes of copying from a page or a mail.

    Raises SettingsError, which tells the character and its place and nothing else of the key.
    """
    for place, character in enumerate(key, 1):
        if not "!" <= character <= "~":
            shown = unicodedata.name(character, "a control character")
            raise SettingsError(
                f"{name} holds U+{ord(character):04X} ({shown}) at place {place} of {len(key)}, which no key has: copy"
                " the key again, as plain text"
            )


def check_data_dir(data_dir: Path) -> None:
    """Refuse a data folder that is a file, a link to nothing, or whose path a database would not read as it is written.

    SQLite's address ends at `?`, DuckDB takes `*` and `?` for patterns and a backslash for a folder. Raises
    SettingsError.
    """
    try:
        there = next(place for place in (data_dir, *data_dir.parents) if place.exists() or place.is_symlink())
        if not there.exists():
            raise SettingsError(
                f"TEAMS_DATA_DIR: {there} is a link to {there.readlink()}, where there is nothing: make that folder, or"
                " name another"
            )
    except OSError as error:
        raise SettingsError(f"TEAMS_DATA_DIR: {data_dir} cannot be a folder ({error.strerror}): name another") from None
    if not there.is_dir():
        raise SettingsError(f"TEAMS_DATA_DIR: {data_dir} cannot be a folder, for {there} is a file: name another place")
    for name, is_right, belongs in (
        *((name, Path.is_dir, "folder") for name in ("assets", "dagster")),
        *((name, Path.is_file, "file") for name in ("ledger.sqlite", "teams.duckdb")),
    ):
        if (data_dir / name).exists() and not is_right(data_dir / name):
            raise SettingsError(
                f"TEAMS_DATA_DIR: {data_dir / name} is no {belongs}: move it away, or name another place"
            )
    pattern = "?*" + ("\\" if os.sep == "/" else "")
    if wrong := sorted(set(str(data_dir)) & set(pattern)):
        raise SettingsError(
            f"TEAMS_DATA_DIR: {data_dir} holds {' and '.join(wrong)}, which databases do not take as a plain character"
            " in a path: rename the folder, or name another place"
        )
