"""Numbers and untrusted texts, ready to be shown."""

from __future__ import annotations

import math
import unicodedata

NANO = 1_000_000_000
"""Nano-dollars of a dollar."""
UNKNOWN = "unknown"
NOT_A_NUMBER = "–"

_JOINERS = "\u200c\u200d"
"""Format characters that Indic scripts, Persian and emoji are spelt with."""

_WITHOUT_SPACING = dict.fromkeys(map(ord, "\n\t" + _JOINERS))
"""For `str.translate`: drops what stays as it is although Python calls it unprintable."""

_SHOWN_AS_CODE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Categories of characters that control, reorder or hide what is seen, or that no UTF-8 file can hold."""


def visible(text: str) -> str:
    """`text` with every control, bidirectional or invisible character, and every lone surrogate, named as `[U+202E]`.

    Line feeds, tabs and joiners stay, carriage returns before a line feed go.
    """
    if text.translate(_WITHOUT_SPACING).isprintable():  # nearly always, and told a hundred times faster
        return text
    return "".join(map(_visible_character, text.replace("\r\n", "\n")))


def _visible_character(character: str) -> str:
    if character in "\n\t" or character in _JOINERS or unicodedata.category(character) not in _SHOWN_AS_CODE:
        return character
    return f"[U+{ord(character):04X}]"


def shorten(text: str, limit: int) -> str:
    """`text`, or its beginning and how many more characters there are."""
    if len(text) <= limit:
        return text
    return f"{text[:limit].rstrip()} [... {len(text) - limit:,} more characters]"


def folded(text: str) -> str:
    """Equal for texts that differ in case and white space only, or in how an accent is composed."""
    return " ".join(unicodedata.normalize("NFC", text.casefold()).split())


def number(value: float | None, digits: int = 3) -> str:
    """`value` with thousands separators: integers whole, others with `digits` decimals, a dash where there is none."""
    if value is None or not math.isfinite(value):
        return NOT_A_NUMBER
    return f"{value:,}" if isinstance(value, int) else f"{value:,.{digits}f}"


def signed(value: float, digits: int = 3) -> str:
    """A difference with its sign; a dash where there is none."""
    return f"{value:+,.{digits}f}" if math.isfinite(value) else NOT_A_NUMBER


def percent(part: float, whole: float = 1, digits: int = 1) -> str:
    """`part` of `whole` as a percentage; a dash where the whole is nothing."""
    if not whole or not math.isfinite(part / whole):
        return NOT_A_NUMBER
    return f"{100 * part / whole:.{digits}f}%"


def interval(low: float, high: float, digits: int = 3) -> str:
    """`low to high`."""
    return f"{number(low, digits)} to {number(high, digits)}"


def money(nano_usd: int, unpriced: int = 0) -> str:
    """A page's figure. Calls whose price is not known make it unknown, or a lower bound where others have one."""
    known = f"${nano_usd / NANO:,.2f}" if nano_usd >= NANO else f"${nano_usd / NANO:.6f}".rstrip("0").rstrip(".")
    if not unpriced:
        return known
    return f"at least {known}" if nano_usd else UNKNOWN


def dollars(nano_usd: int) -> str:
    """An account's figure: `$1,234.5679`."""
    return f"${nano_usd / NANO:,.4f}"


def about_dollars(nano_usd: float) -> str:
    """An estimate: to the cent, and small amounts to two digits that say something."""
    usd = nano_usd / NANO
    if usd == 0 or usd >= 0.1:
        return f"${usd:,.2f}"
    return f"${usd:.{min(9, 1 - math.floor(math.log10(usd)))}f}"


def exact_dollars(nano_usd: int) -> str:
    """Every digit, for what is kept: `1.234567890 US dollars`."""
    return f"{nano_usd // NANO}.{nano_usd % NANO:09d} US dollars"


def short_count(count: int) -> str:
    """A count to two or three digits: 950, 12k, 1.9M."""
    if count < 10_000:
        return f"{count:,}"
    return f"{count / 1_000:,.0f}k" if count < 1_000_000 else f"{count / 1_000_000:,.1f}M"


def words(name: str) -> str:
    """A name in code (`add_constraints`) as people write it (`add constraints`)."""
    return name.replace("_", " ")
