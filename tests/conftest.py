"""What tests of several folders share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.openai_server import OpenAIServer

if TYPE_CHECKING:
    from teams_dagster.student.base import BaseReport


@pytest.fixture
def openai_server() -> Iterator[OpenAIServer]:
    """A server speaking the OpenAI protocol on a free loopback port."""
    with OpenAIServer() as server:
        yield server


@pytest.fixture(scope="session")
def base_report(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, BaseReport]:
    """An embedded student with real weights, made once: a few updates are enough for everything but its quality."""
    from teams_dagster.student.base import build_embedded_base

    folder = tmp_path_factory.mktemp("base")
    return folder, build_embedded_base(folder, seed=0, steps=20)


@pytest.fixture(scope="session")
def base(base_report: tuple[Path, BaseReport]) -> Path:
    """Its folder."""
    return base_report[0]
