"""Pictures of policies beside each other: what each scores, and by how much the trained one exceeds each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass
