"""The one style of all pictures, and the way from a figure to PNG bytes.

Figures are drawn through matplotlib's object interface on the Agg backend; pyplot and its global state are never
touched, so pictures can be drawn in any process and thread.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from teams_dagster.core.operations import TEXT_OPERATIONS, Operation
from teams_dagster.core.text import visible, words
from teams_dagster.report.pictures.axes import Axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 7.0, 3.5
"""Inches."""
DPI = 192
"""Twice the 96 pixels an inch of a screen."""

BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"
YELLOW = "#F0E442"
GREY, LIGHT, INK = "#8C8C8C", "#D9D9D9", "#333333"
"""The colours of Okabe and Ito (2008), told apart by colour-blind people too, and greys."""

TINTS = ("#FFFFFF", "#FBEBCB", "#DCEEF8", "#DDF1E9")
"""Grounds that lines can be read on: white, and pale orange, sky and green."""

PALETTE = 256
"""Colours of a picture, the shades at the edges of lines and letters included."""

CYCLE = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, GREY)

_OF_OPERATIONS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, YELLOW)
_SHADE = 0.6
"""How bright the colours of each further round are, of those of the round before."""

EMPTY = "nothing to show yet"
LONGEST_NAME = 28
"""Characters of a name that are shown."""

_FONT = "DejaVu Sans"
_SMALL, _TINY = 9, 8


def new_figure(height: float = HEIGHT) -> Figure:
    """A white figure, 7 inches wide."""
    from matplotlib.figure import Figure

    return Figure(figsize=(WIDTH, height), dpi=DPI, facecolor="white", layout="constrained")


def panel(figure: Figure, position: tuple[int, int, int] = (1, 1, 1), *, x: str, y: str, title: str = "") -> Axes:
    """An axes with labels, in the grid position (rows, columns, index) of `figure`."""
    return _styled(figure.add_subplot(*position), x, y, title)


def _styled(axes: Axes, x: str, y: str, title: str) -> Axes:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(colors=INK, labelsize=_TINY, length=3, color=GREY, labelfontfamily=_FONT)
    axes.grid(visible=True, color="#EBEBEB", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel(x, fontsize=_SMALL, color=INK, family=_FONT)
    axes.set_ylabel(y, fontsize=_SMALL, color=INK, family=_FONT)
    if title:
        axes.set_title(title, fontsize=_SMALL, color=INK, family=_FONT, loc="left", fontweight="bold")
    return axes


def row_axis(axes: Axes, names: list[str]) -> None:
    """Name the rows of a chart that reads from the top: row i is at y = i."""
    axes.set_yticks(range(len(names)), [label(name) for name in names], fontsize=_SMALL)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)


def whole_numbers(axes: Axes) -> None:
    """Only whole numbers along x."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def counts_along_x(axes: Axes) -> None:
    """Thousands separators, and few enough ticks that they do not touch."""
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def legend(target: Axes | Figure, **where: Any) -> None:
    """A legend without a frame."""
    drawn = target.legend(  # pyright: ignore[reportUnknownMemberType]
        frameon=False, prop={"family": _FONT, "size": _TINY}, **where
    )
    for text in drawn.get_texts():
        text.set_color(INK)


def swatches(figure: Figure, colours: Mapping[str, str]) -> None:
    """What grounds of these colours mean, below everything."""
    from matplotlib.patches import Patch

    patches = [Patch(facecolor=colour, edgecolor=GREY, linewidth=0.6, label=name) for name, colour in colours.items()]
    legend(figure, handles=patches, loc="outside lower left", ncols=len(patches))


def note(axes: Axes, at: tuple[float, float], text: str, shift: tuple[float, float] = (4, 0), **how: Any) -> None:
    """A small text beside the data coordinates `at`, `shift` points away."""
    style: dict[str, Any] = {
        "fontsize": _TINY,
        "color": INK,
        "family": _FONT,
        "va": "center",
        "textcoords": "offset points",
    }
    axes.annotate(label(text, limit=90), at, xytext=shift, **(style | how))


def name_colours(names: list[str]) -> dict[str, str]:
    """A colour for each operation, always the same, and for other names in order."""
    fixed = {operation.value: operation_colour(index) for index, operation in enumerate(TEXT_OPERATIONS)}
    fixed[Operation.NONE.value] = GREY
    return {name: fixed.get(name, CYCLE[index % len(CYCLE)]) for index, name in enumerate(names)}


def operation_colour(index: int) -> str:
    """The colour of the operation at `index` of `TEXT_OPERATIONS`: where hues run out, they come again, darker."""
    hue = _OF_OPERATIONS[index % len(_OF_OPERATIONS)]
    brightness = _SHADE ** (index // len(_OF_OPERATIONS))
    return "#" + "".join(f"{round(int(hue[at : at + 2], 16) * brightness):02X}" for at in (1, 3, 5))


def operation_order(names: set[str]) -> list[str]:
    """Operations in their canonical order, then other names."""
    known = [operation.value for operation in Operation if operation.value in names]
    return known + sorted(names - set(known))


def label(name: str, limit: int = LONGEST_NAME) -> str:
    """`name` as text on a picture: short, never read as a formula, every character one that the font can draw."""
    text = visible(" ".join(words(name).split()))
    if len(text) > limit:
        text = text[: limit - 3].rstrip() + "..."
    drawable = _drawable()
    return "".join(c if ord(c) in drawable else "\N{WHITE SQUARE}" for c in text).replace("$", r"\$")


@cache
def _drawable() -> frozenset[int]:
    from matplotlib.font_manager import findfont, get_font  # pyright: ignore[reportUnknownVariableType]

    return frozenset(get_font(findfont(_FONT)).get_charmap())


def nothing_to_show() -> bytes:
    """The picture of no data."""
    figure = new_figure(height=1.4)
    figure.text(  # pyright: ignore[reportUnknownMemberType]
        0.5, 0.5, EMPTY, ha="center", va="center", fontsize=11, color=GREY, family=_FONT
    )
    return png(figure)


def png(figure: Figure) -> bytes:
    """`figure` as PNG with a palette, a third of the size without; the same figure gives the same bytes.

    Drawn straight onto a canvas: `savefig` draws a figure with a layout twice, and packs what is unpacked here again.
    """
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas, file = FigureCanvasAgg(figure), io.BytesIO()
    canvas.draw()
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    palette = image.quantize(PALETTE, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    palette.save(file, format="png", optimize=True)
    return file.getvalue()
