"""`teams export` before there is a dataset, and how fast it starts; tests of the graph export a real one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from teams_dagster.cli import main

HEAVY = {"torch", "transformers", "datasets", "mlcroissant", "datasketch", "matplotlib", "pandas", "duckdb"}


def test_an_empty_store_is_named_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAMS_DATA_DIR", str(tmp_path / "data"))
    result = CliRunner().invoke(main, ["export", "--to", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "teams demo" in result.output
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "data").exists()


@pytest.mark.slow
def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys; import teams_dagster.cli.export, resources.stores; print(*{m.split('.')[0] for m in sys.modules})"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert HEAVY.isdisjoint(ran.stdout.split())
