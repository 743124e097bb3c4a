"""The picture of the asset graph, drawn from the definitions.

`python -m docs.generate.graph` writes it. Where an asset stands is decided here; which are drawn, how they are grouped
and what leads where are the definitions'.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from teams_dagster.definitions import defs

PICTURE = Path(__file__).parent.parent / "pictures" / "graph.svg"

PLACES: dict[str, tuple[float, int]] = {
    "seed_instructions": (2, 0),
    "trained_policy": (2, 1),
    "policy_comparison": (0, 2),
    "generated_instructions": (2, 2),
    "expert_responses": (2, 3),
    "uniform_instructions": (5, 3),
    "pair_scores": (1, 4),
    "sample_lineage": (1, 5),
    "instruction_dataset": (2, 5),
    "base_model": (3, 5),
    "uniform_responses": (5, 5),
    "qlora_model": (2, 6),
    "lora_model": (3, 6),
    "uniform_dataset": (5, 6),
    "outcome_scores": (4, 6),
    "judged_win_rate": (2, 7),
    "evaluation_scores": (3, 7),
    "privacy_audit": (4, 7),
    "lora_uniform": (5, 7),
    "rlgf_model": (6, 7),
    "query_costs": (0, 8),
    "uniform_scores": (5, 8),
    "rlgf_scores": (6, 8),
    "paper_table": (3, 9),
    "report": (1, 10),
}
"""Column and row of each asset."""

COLOURS = {
    "seeds": "#5c6bc0",
    "policy": "#00897b",
    "dataset": "#1e88e5",
    "models": "#8e24aa",
    "evaluation": "#e65100",
    "accounting": "#546e7a",
    "uniform_arm": "#9e9d24",
    "outcome": "#c2185b",
    "rlgf": "#5d4037",
}

WIDTH, HEIGHT, COLUMN, ROW, MARGIN = 164, 40, 184, 72, 16


def draw() -> str:
    """The picture as SVG. Raises KeyError for an asset or a group that has no place or colour here."""
    graph = defs.resolve_asset_graph()
    groups = {key.to_user_string(): str(graph.get(key).group_name) for key in graph.toposorted_asset_keys}
    parents = {
        key.to_user_string(): {parent.to_user_string() for parent in graph.get(key).parent_keys}
        for key in graph.toposorted_asset_keys
    }
    right, bottom = (max(place[axis] for place in PLACES.values()) for axis in (0, 1))
    width, height = right * COLUMN + WIDTH + 2 * MARGIN, bottom * ROW + HEIGHT + 2 * MARGIN
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" font-family="sans-serif"'
            ' role="img" aria-label="The asset graph">',
            f'<rect width="{width:g}" height="{height:g}" rx="8" fill="#ffffff"/>',
            *(_edge(parent, child) for parent, child in _drawn_edges(parents)),
            *(_node(name, group) for name, group in groups.items()),
            "</svg>\n",
        ]
    )


def _drawn_edges(parents: dict[str, set[str]]) -> Iterator[tuple[str, str]]:
    """Each dependency that does not follow from others."""
    above: dict[str, set[str]] = {}
    for name, direct in parents.items():  # parents come first
        above[name] = direct.union(*(above[parent] for parent in direct))
        for parent in sorted(direct):
            if not any(parent in above[other] for other in direct - {parent}):
                yield parent, name


def _corner(name: str) -> tuple[float, float]:
    column, row = PLACES[name]
    return MARGIN + column * COLUMN, MARGIN + row * ROW


def _edge(parent: str, child: str) -> str:
    (from_x, from_y), (to_x, to_y) = _corner(parent), _corner(child)
    from_x, to_x, from_y = from_x + WIDTH / 2, to_x + WIDTH / 2, from_y + HEIGHT
    bend = ROW - HEIGHT
    return (
        f'<path d="M{from_x:g} {from_y:g} V{to_y - bend:g} C{from_x:g} {to_y - bend / 3:g} {to_x:g} {to_y - bend:g}'
        f' {to_x:g} {to_y:g}" fill="none" stroke="#9aa5b1" stroke-width="1.5"/>'
    )


def _node(name: str, group: str) -> str:
    x, y = _corner(name)
    return (
        f'<g><rect x="{x:g}" y="{y:g}" width="{WIDTH}" height="{HEIGHT}" rx="6" fill="#ffffff" stroke="#cfd8dc"/>'
        f'<rect x="{x:g}" y="{y:g}" width="5" height="{HEIGHT}" rx="2" fill="{COLOURS[group]}"/>'
        f'<text x="{x + 14:g}" y="{y + 17:g}" font-size="12" font-weight="600" fill="#263238">{name}</text>'
        f'<text x="{x + 14:g}" y="{y + 32:g}" font-size="10" fill="{COLOURS[group]}">{group}</text></g>'
    )


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")
