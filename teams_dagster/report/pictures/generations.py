"""Pictures over generations and steps: what a kept sample took, how long and how distinct the texts are."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass
