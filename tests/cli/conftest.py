"""The project that the tests of the assets work on."""

from __future__ import annotations

from tests.assets.conftest import project, trained

__all__ = ["project", "trained"]
