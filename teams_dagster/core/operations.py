"""The textual operations (TeaMs-RL section 3; Evol-Instruct) and `none`."""

from __future__ import annotations

from enum import Enum


class Returns(Enum):
    """What a rewrite under an operation gives back."""

    NOTHING = "nothing"
    INSTRUCTION = "instruction"
    """The new instruction alone; the input is kept verbatim."""
    INSTRUCTION_AND_INPUT = "instruction_and_input"
    """Both, in the reply format of `prompts/_reply_with_input.md`; the input may be replaced, added or dropped."""


class Operation(Enum):
    """One textual operation. A new one is a line here, a template in `prompts/` and an offline rule.

    The order is the order of the policy's outputs. The guide chooses by the descriptions.
    """

    BREADTH = (
        "breadth",
        Returns.INSTRUCTION_AND_INPUT,
        "a brand-new instruction of the same domain, about something rarer",
    )
    ADD_CONSTRAINTS = ("add_constraints", Returns.INSTRUCTION, "one more constraint or requirement")
    DEEPENING = ("deepening", Returns.INSTRUCTION, "a deeper and wider inquiry into the same matter")
    CONCRETIZING = ("concretizing", Returns.INSTRUCTION, "more specific notions in the place of general ones")
    INCREASE_REASONING_STEPS = (
        "increase_reasoning_steps",
        Returns.INSTRUCTION,
        "an explicit request for several steps of reasoning",
    )
    COMPLICATE_INPUT = (
        "complicate_input",
        Returns.INSTRUCTION_AND_INPUT,
        "harder, structured material to work on (a table, JSON, code)",
    )
    NONE = ("none", Returns.NOTHING, "leave the instruction as it is")

    def __new__(cls, label: str, returns: Returns, description: str) -> Operation:
        member = object.__new__(cls)
        member._value_ = label
        member.returns = returns
        member.description = description
        return member

    returns: Returns
    description: str


class GenericRewrite(Enum):
    """A rewrite that names no operation: what a comparison asks for beside the operations, and no policy chooses."""

    HARDER = ("harder", Returns.INSTRUCTION_AND_INPUT, "a harder instruction, in whatever way")

    def __new__(cls, label: str, returns: Returns, description: str) -> GenericRewrite:
        member = object.__new__(cls)
        member._value_ = label
        member.returns = returns
        member.description = description
        return member

    returns: Returns
    description: str


Rewriting = Operation | GenericRewrite
"""What a rewrite can be asked for."""

TEXT_OPERATIONS: tuple[Operation, ...] = tuple(op for op in Operation if op.returns is not Returns.NOTHING)
"""Every operation that asks a query; `none` asks nothing."""
