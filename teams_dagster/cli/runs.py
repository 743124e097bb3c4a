"""Runs in a command's own process: how they are known, and closed when their process is gone."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass
