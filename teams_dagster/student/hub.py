"""Sending a model's folder to the Hugging Face Hub, when somebody asks for it."""

from __future__ import annotations

import os
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
