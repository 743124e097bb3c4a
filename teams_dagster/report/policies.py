"""Policies and algorithms as people read of them: their groups, what each is, what it is called."""

from __future__ import annotations

from collections.abc import Iterable

from teams_dagster.core.operations import TEXT_OPERATIONS
from teams_dagster.core.text import words
from teams_dagster.policy.algorithms.config import ALGORITHMS
from teams_dagster.policy.baselines import (
    BANDIT,
    CEILING,
    FORCED_SCHEDULE,
    GENERIC_PROMPT,
    GUIDE,
    LAZY_ONE_EDIT,
    LAZY_TWO_EDITS,
    LOOK_AHEAD,
    OPEN_LOOP,
    ROUND_ROBIN,
    TABLE,
    UNIFORM,
    UNIFORM_WITH_NONE,
)
from teams_dagster.policy.comparison.contenders import (
    NO_HISTORY,
    REFERENCE,
    TEXT_NOISE,
    TEXT_ZEROED,
    TRAINED,
    TRAINED_BY_GRADED,
    TRAINED_WITHOUT_NONE,
)
from teams_dagster.policy.comparison.plan import COMPARED, GUIDES, compared_algorithm, compared_name

FIXED = tuple(operation.value for operation in TEXT_OPERATIONS)
"""Policies that always choose one operation, which they are named after."""

_BASELINES = "Baselines"

_BY_ALGORITHM = tuple(
    compared_name(name, guide)
    for guide in GUIDES
    for name, algorithm in COMPARED.items()
    if algorithm.asks_guide or guide == "model"
)


def _by_algorithm(name: str) -> str:
    algorithm, guide = compared_algorithm(name) or (name, "model")
    text = f"trained by {COMPARED[algorithm].title} as it ships, with as many queries as the trained policy"
    if algorithm.startswith("aggrevated_"):
        text += f", in the form {words(algorithm.removeprefix('aggrevated_'))}"
    return f"{text}, guided by a look-ahead." if guide == "look_ahead" else f"{text}."


POLICIES: dict[str, dict[str, str]] = {
    "Trained": {
        TRAINED: "the deployed policy; where several trainings were compared, it and the same training under other"
        " random seeds.",
        TRAINED_WITHOUT_NONE: "the trained policy kept from resting: it may not choose none, which asks nothing and"
        " leaves the text alone.",
        TRAINED_BY_GRADED: "trained alike by reward graded, which prices queries and not dollars. What the trained"
        " policy gains over it per dollar, it gains by the prices.",
        TEXT_ZEROED: "trained alike, with zeros in the place of the text's features. What the trained policy gains over"
        " the better of it and text noise, it gains by reading.",
        TEXT_NOISE: "trained alike, but shown the features of another text, drawn anew at each state.",
        NO_HISTORY: "trained alike, but not shown what was tried before in the episode and what became of it.",
        REFERENCE: "trained as the paper's code trains, as far as a sound policy can be: one episode a batch, the"
        " verdict as the reward, no text.",
    },
    "Trained by other algorithms": {name: _by_algorithm(name) for name in _BY_ALGORITHM},
    _BASELINES: {
        UNIFORM: "every operation with the same probability, as Evol-Instruct does. Everything is measured against it.",
        UNIFORM_WITH_NONE: "uniform over the operations and none: what resting at random brings by itself.",
        ROUND_ROBIN: "the operations in their order, one a step.",
        LAZY_ONE_EDIT: "add constraints, then none: asks little, so what it asks pays well. It shows what stopping"
        " early does to figures per query.",
        LAZY_TWO_EDITS: "the same with two edits: breadth, add constraints, then none.",
        OPEN_LOOP: "the best sequence of six operations, searched on the training seeds with as many queries as the"
        " training asked. It never looks at what came of an edit.",
        BANDIT: "the operation with the best mean reward at each step, found by a UCB bandit with as many queries.",
        TABLE: "a table instead of a network, learnt with as many queries: a row for each step and what each operation"
        " last came to. It does not see the text.",
        GENERIC_PROMPT: "one prompt for every edit, 'make this instruction harder': no operations, no training.",
        FORCED_SCHEDULE: "what the paper's reference code forces on its policy, without a policy: breadth at the second"
        " and the fifth step, uniform elsewhere, add constraints taking breadth's place.",
        GUIDE: "no training: a language model is shown the text and asked at each step which operation to apply. Its"
        " queries count.",
        LOOK_AHEAD: "tries every operation at each step and keeps the best edit. All its queries count, so it shows"
        " what looking costs.",
    },
    "One operation always": dict.fromkeys(FIXED, ""),
    "Ceiling": {
        CEILING: "the same, but only queries of the edits it kept count: the ceiling for choosing one step at a time.",
    },
}
"""Every known policy with what it is, in plain words, by groups in the order in which they are shown.

The fixed ones are what their names say. A policy that is not here is shown after the baselines.
"""

EXPLAINED = {name: meaning for group in POLICIES.values() for name, meaning in group.items() if meaning}
"""What a policy is, where its name does not say it."""

_ALGORITHMS = {config.model_fields["name"].default: config.title for config in ALGORITHMS}
"""What each algorithm is called, by its name in a configuration."""


def grouped(names: Iterable[str]) -> list[tuple[str, list[str]]]:
    """The groups that have any of `names`, each with those in their order."""
    there = dict.fromkeys(names)
    known = {name for group in POLICIES.values() for name in group}
    groups = {title: [name for name in group if name in there] for title, group in POLICIES.items()}
    groups[_BASELINES] += [name for name in there if name not in known]
    return [(title, group) for title, group in groups.items() if group]


def in_order(names: Iterable[str]) -> list[str]:
    """`names`, each once, group by group."""
    return [name for _, group in grouped(names) for name in group]


def algorithm_name(name: str) -> str:
    """A training algorithm, or the phase of one, as its authors write it."""
    return _ALGORITHMS.get(name, words(name))
