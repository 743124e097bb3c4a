"""A model that stands alone (an adapter added into its base, or a fine-tuned one as it is), and its way to the hub."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

TOKEN = "HF_TOKEN"


class CannotPush(RuntimeError):
    """The hub did not take the model; the message says why and what to do."""


def push_folder(folder: Path, repo_id: str, *, private: bool = True) -> str:
    """Uploads `folder` to the model repository `repo_id`, which is made where it is missing; returns its address.

    The token is read from HF_TOKEN and written nowhere. Raises CannotPush.
    """
    token = os.environ.get(TOKEN)
    if not token:
        raise CannotPush(f"{TOKEN} is not set: put a token that may write to {repo_id} into the environment")
    import httpx2
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    hub = HfApi(endpoint=os.environ.get("HF_ENDPOINT"), token=token)
    try:
        hub.create_repo(repo_id, private=private, exist_ok=True)
        hub.upload_folder(repo_id=repo_id, folder_path=folder, commit_message="Upload by teams-dagster")
    except (HfHubHTTPError, HFValidationError, httpx2.HTTPError, OSError) as error:
        said = str(error).replace(token, f"<{TOKEN}>").strip()
        raise CannotPush(f"the hub did not take {folder} as {repo_id}: {said}") from None
    return f"{hub.endpoint}/{repo_id}"


def merge_adapter(base: str | Path, adapter: Path, folder: Path) -> None:
    """Writes the model to `folder` (new or empty): safetensors, tokenizer, chat template, recipe, card.

    The base is loaded in float, also for an adapter that was trained on its 4-bit form: what was lost by quantising
    comes back, so answers can differ a little from those of adapter and 4-bit base.

    Raises FileExistsError when `folder` holds something, ValueError when the base renders prompts otherwise than at
    training.
    """
    from teams_dagster.student.loading import RECIPE_FILE, Recipe, load_adapter

    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} holds something already: name another folder, or empty it")
    recipe = Recipe.load(adapter)
    if recipe.kind == "full":
        shutil.copytree(adapter, folder, dirs_exist_ok=True)
        return
    student = load_adapter(base, adapter, four_bit=False)
    student.model.merge_and_unload().save_pretrained(str(folder))
    student.tokenizer.save_pretrained(str(folder))  # pyright: ignore[reportUnknownMemberType]
    for name in (RECIPE_FILE, "README.md"):
        if (adapter / name).exists():
            shutil.copy(adapter / name, folder / name)
