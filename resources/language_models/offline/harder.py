"""A rewrite that names no operation: harder in whatever way still has something to add.

A model that is told no way sees the text and picks one that suits it. So of the operations that make a text harder (all
but those that give a brand-new one), one is drawn among those that have something left to add to this text. That is
the most that one prompt could do here: how well a real model picks is not for rules to say.
"""

from __future__ import annotations

from resources.language_models.offline.kinds import Reading
from resources.language_models.offline.lexicon import draw
from resources.language_models.offline.rules import RULES, Edited


def harder(reading: Reading, replica: int) -> Edited:
    """The text made harder in one way; None where no way has anything left to add."""
    found = (rule.edit(reading, replica) for rule in RULES.values() if not rule.renews)
    edits = [edit for edit in found if edit is not None]
    return edits[draw(len(edits), "way", reading.text, replica)] if edits else None
