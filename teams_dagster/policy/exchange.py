"""A trained policy as one folder, to be taken to another project.

<folder>/policy.json           what it is: version, models of its training, features, prompts, facts, hashes
<folder>/policy.safetensors    the policy itself, with its configuration and its learning curve
<folder>/policies.parquet      its row of table `policies`
<folder>/policy_scores.parquet how it compared with others, where it was compared
<folder>/base/                 the student that it reads with, where that is kept with it
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from teams_dagster.core.files import file_sha256, replacing, write_atomically
from teams_dagster.policy.checkpoint import BASE, CHECKPOINT, Checkpoint, load_policy
from teams_dagster.store.artefact_store import Artefact, ArtefactStore

ABOUT = "policy.json"

_TABLES = ("policies.parquet",)
_SCORES = "policy_scores.parquet"


class _About(BaseModel):
    """What an exported policy says of itself."""

    model_config = ConfigDict(frozen=True)

    policy_version: str
    rewriter: str
    reviewer: str
    features: str
    prompts: dict[str, str]
    code_version: str
    facts: dict[str, Any]
    files: dict[str, str]
    """Each file's name with its SHA-256."""


class PolicyFolderDamaged(ValueError):
    """A folder that holds no policy as it was exported."""


def export_policy(store: ArtefactStore, policy: Artefact, target: Path) -> list[str]:
    """Write a trained policy into the folder `target`; the names of its files. Raises OSError."""
    checkpoint = load_policy(policy)
    scores = [policy.folder / _SCORES] if (policy.folder / _SCORES).is_file() else []  # came with it
    for comparison in store.all_of("policy_comparison"):
        if comparison.manifest["inputs"].get("trained_policy") == policy.data_version:
            scores = [comparison.folder / _SCORES]
    sources = {path.name: path for path in (*(policy.folder / name for name in (CHECKPOINT, *_TABLES)), *scores)}
    if checkpoint.base is not None:
        sources |= {f"{BASE}/{path.name}": path for path in sorted(Path(checkpoint.base).iterdir())}
    target.mkdir(parents=True, exist_ok=True)
    if not scores:
        (target / _SCORES).unlink(missing_ok=True)  # of a policy that was exported here before
    for name, source in sources.items():
        with replacing(target / name) as draft:
            shutil.copyfile(source, draft)
    origin = asdict(checkpoint.origin)
    about = _About(
        policy_version=checkpoint.policy_version,
        rewriter=str(checkpoint.origin.instructor),
        reviewer=str(checkpoint.origin.reviewer),
        features=origin["feature_version"],
        prompts=origin["prompt_versions"],
        code_version=policy.manifest["code_version"],
        facts=policy.manifest["facts"],
        files={name: file_sha256(target / name) for name in sources},
    )
    write_atomically(target / ABOUT, json.dumps(about.model_dump(), indent=1, sort_keys=True) + "\n")
    return [ABOUT, *about.files]


def exported_version(folder: Path) -> str:
    """The version of the policy in a folder. Raises PolicyFolderDamaged."""
    return _about(folder).policy_version


def import_policy(store: ArtefactStore, folder: Path) -> Artefact:
    """The policy of a folder as an output of `trained_policy`: the current one only where there was none.

    Raises PolicyFolderDamaged for files that are not those that were exported.
    """
    about = _about(folder)
    version = about.policy_version
    for known in store.all_of("trained_policy"):
        if known.data_version == version:
            return known
    if missing := sorted({CHECKPOINT, *_TABLES} - about.files.keys()):
        raise PolicyFolderDamaged(f"{folder / ABOUT} does not list {', '.join(missing)}: copy the folder again")
    for name, digest in about.files.items():
        if not (folder / name).is_file() or file_sha256(folder / name) != digest:
            raise PolicyFolderDamaged(f"{folder / name} is not the file that was exported: copy the folder again")
    if Checkpoint.load(folder / CHECKPOINT).policy_version != version:
        raise PolicyFolderDamaged(f"{folder / CHECKPOINT} is not the policy of {ABOUT}: copy the folder again")
    made = {
        "code_version": about.code_version,
        "config": {},
        "inputs": {"imported_policy": version},
        "run_id": "",
        "made_at": datetime.now(UTC).isoformat(timespec="microseconds"),
    }
    select = not store.exists("trained_policy")
    with store.writing("trained_policy", f"imported-{version[:16]}", about=made, select=select) as draft:
        for name in (CHECKPOINT, *_TABLES, *({_SCORES} & about.files.keys()), *filter(_is_of_base, about.files)):
            (draft.folder / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(folder / name, draft.folder / name)
        draft.finish(version, about.facts)
    return store.of_version("trained_policy", version)


def _is_of_base(name: str) -> bool:
    """Whether a file's name is that of one of the student's, and of none elsewhere."""
    path = PurePosixPath(name)
    return path.parts == (BASE, path.name) and path.name not in ("", "..")


def _about(folder: Path) -> _About:
    try:
        return _About.model_validate_json((folder / ABOUT).read_text(encoding="utf-8"))
    except ValidationError as error:
        first = error.errors()[0]
        said = f"{ABOUT}: {'.'.join(map(str, first['loc'])) or 'the whole'}: {first['msg']}"
    except (OSError, UnicodeDecodeError) as error:
        said = str(error)
    raise PolicyFolderDamaged(f"{folder} holds no exported policy ({said}): `teams policy` makes one")
