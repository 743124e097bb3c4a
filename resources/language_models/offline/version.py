"""Which rules answered: a version that is part of every key under which the ledger keeps their answers."""

import hashlib
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

RELEASED_VERSION = "a2900a1d55723912"
"""The version of the rules that ship."""

RELEASED_SOURCES = "769f790252d397ec"
"""The digest of their source and data files.

Where only the source reads differently (a moved import, a better name) and a test finds every reply of the released
rules unchanged, this digest is replaced and the version stays: answers in existing stores are reused.
"""


@cache
def rules_version() -> str:
    """16 hex digits that change with the rules: the released version, or the digest of sources that were edited."""
    digest = sources_digest()
    return RELEASED_VERSION if digest == RELEASED_SOURCES else digest


def sources_digest() -> str:
    """Hash of every file that the rules are read from: 16 hex digits."""
    digest = hashlib.sha256()
    for entry in package_files():
        digest.update(entry.name.encode() + b"\0" + entry.read_bytes().replace(b"\r\n", b"\n") + b"\0")
    return digest.hexdigest()[:16]


def package_files() -> list[Traversable]:
    """The rules' source and data files, by name. This module is none of them: it names the others."""
    package = files("resources.language_models.offline")
    found = [entry for entry in package.iterdir() if entry.name.endswith(".py") and entry.name != "version.py"]
    found += [entry for entry in (package / "data").iterdir() if entry.name.endswith(".toml")]
    return sorted(found, key=lambda entry: entry.name)
