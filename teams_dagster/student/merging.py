"""A model that stands alone: an adapter added into its base's weights, or a fine-tuned one as it is."""

from __future__ import annotations

import shutil
from pathlib import Path

from teams_dagster.student.loading import RECIPE_FILE, Recipe, load_adapter


def merge_adapter(base: str | Path, adapter: Path, folder: Path) -> None:
    """Writes the model to `folder` (new or empty): safetensors, tokenizer, chat template, recipe, card.

    The base is loaded in float, also for an adapter that was trained on its 4-bit form: what was lost by quantising
    comes back, so answers can differ a little from those of adapter and 4-bit base.

    Raises FileExistsError when `folder` holds something, ValueError when the base renders prompts otherwise than at
    training.
    """
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} holds something already: name another folder, or empty it")
    recipe = Recipe.load(adapter)
    if recipe.kind == "full":
        shutil.copytree(adapter, folder, dirs_exist_ok=True)
        return
    student = load_adapter(base, adapter, four_bit=False)
    student.model.merge_and_unload().save_pretrained(str(folder))
    student.tokenizer.save_pretrained(str(folder))
    for name in (RECIPE_FILE, "README.md"):
        if (adapter / name).exists():
            shutil.copy(adapter / name, folder / name)
