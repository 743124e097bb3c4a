"""A policy as a folder: what is no policy as it was exported is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from teams_dagster.policy.exchange import ABOUT, PolicyFolderDamaged, exported_version


@pytest.mark.parametrize("text", ["{}", "[]", '{"policy_version": 1}', "no JSON"])
def test_a_folder_whose_description_is_none_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / ABOUT).write_text(text)
    with pytest.raises(PolicyFolderDamaged, match=r"holds no exported policy .*`teams policy` makes"):
        exported_version(tmp_path)
