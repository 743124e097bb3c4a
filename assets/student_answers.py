"""What the base and its adapters answer to held-out instructions: made once, kept as it is made, found again later."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass
