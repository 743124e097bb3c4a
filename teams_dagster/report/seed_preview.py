"""A preview as people read it: each seed with its steps, what they changed, the verdict, the answer and the price."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.text import UNKNOWN, about_dollars, shorten
from teams_dagster.core.word_diff import word_diff
from teams_dagster.dataset.preview import Planned, Preview, Previewed
from teams_dagster.dataset.steering import policy_title, untrained_name
from teams_dagster.environment.state import Transition
from teams_dagster.llm.context import Tallies

WIDTH = 80
ANSWER = 600
"""Characters shown of an answer."""

Costs = Mapping[str, int | None]
"""By attempt, nano-dollars; None where no price is known."""


def preview_lines(planned: Planned, found: Preview, costs: Costs, tallies: Tallies) -> list[str]:
    """The whole preview, in lines of at most `WIDTH` characters.

    Args:
        planned: What was played.
        found: What came of it.
        costs: Of every attempt that answered a query.
        tallies: What was asked.
    """
    lines, seeds = [*_paragraph(_heading(planned)), ""], found.seeds
    for number, previewed in enumerate(seeds, 1):
        lines += [*_seed_lines(f"seed {number} of {len(seeds)}", previewed, costs), ""]
    if any(step.accepted and step.transition_id not in p.samples for p in seeds for step in p.episode.recorded):
        lines += [*_paragraph(f"Not everything was answered: {found.ended}."), ""]
    return [*lines, *_paragraph(_total(planned, seeds, costs, tallies))]


def _heading(planned: Planned) -> str:
    manifest = planned.manifest
    said = (
        f"Preview of generation {manifest.partition_key}: {len(manifest.replicas)} of its seeds, at most"
        f" {planned.most_queries} queries, operations chosen by"
    )
    forced = " under the paper's forced schedule" if manifest.forced_schedule else ""
    if (name := untrained_name(manifest.policy_version)) is None:
        return f"{said} policy {policy_title(manifest.policy_version)}{forced}."
    return (
        f"{said} {name}{forced}: this policy was never trained, and one that was finds more edits for as many queries."
    )


def _seed_lines(title: str, previewed: Previewed, costs: Costs) -> Iterator[str]:
    key = previewed.episode.key
    yield f"{title}  {key.seed_id}"
    yield from _text(previewed.seed)
    for transition in previewed.episode.recorded:
        yield ""
        yield from _step_lines(transition, previewed)
    yield ""
    yield f"  price: {_price(previewed.request_ids, costs)}, {len(previewed.request_ids)} queries"


def _step_lines(transition: Transition, previewed: Previewed) -> Iterator[str]:
    yield f"  step {transition.step}  {transition.operation.value}  {_verdict(transition)}"
    if transition.after is not None:
        yield from _change(transition.before, transition.after)
    if not transition.accepted:
        return
    sample = previewed.samples.get(transition.transition_id)
    if sample is None:
        yield "    answer: not asked for, as said below"
        return
    kept = "answer" if sample.accepted else f"answer, refused ({sample.reason})"
    yield from _paragraph(f"{kept}: {shorten(sample.response or '-', ANSWER)}", "    ")


def _verdict(transition: Transition) -> str:
    if transition.failure:
        return f"no answer ({transition.failure.split(':')[0]})"
    if transition.eliminated_by:
        return f"refused: {transition.eliminated_by.value}"
    if transition.verdict is None:
        return "nothing asked"
    return f"verdict {transition.verdict.value}: {'accepted' if transition.accepted else 'not accepted'}"


def _change(before: Instruction, after: Instruction) -> Iterator[str]:
    yield from _paragraph(word_diff(before.text, after.text), "    ")
    if before.input or after.input:
        yield from _paragraph(f"input: {word_diff(before.input, after.input) or '-'}", "    ")


def _text(instruction: Instruction) -> Iterator[str]:
    yield from _paragraph(instruction.text, "  ")
    if instruction.input:
        yield from _paragraph(f"input: {instruction.input}", "  ")


def _paragraph(text: str, indent: str = "") -> list[str]:
    """`text` in lines of at most `WIDTH`, its own line breaks kept."""
    lines: list[str] = []
    for line in text.splitlines() or [""]:
        lines += textwrap.wrap(line, WIDTH, initial_indent=indent, subsequent_indent=indent) or [""]
    return lines


def _price(request_ids: set[str], costs: Costs) -> str:
    found = [costs[request] for request in request_ids if request in costs]
    known = [cost for cost in found if cost is not None]
    if not known and found:
        return UNKNOWN
    at_least = "at least " if len(known) < len(found) else ""
    return f"{at_least}{about_dollars(sum(known))}"


def _total(planned: Planned, seeds: Sequence[Previewed], costs: Costs, tallies: Tallies) -> str:
    kept = sum(sample.accepted for previewed in seeds for sample in previewed.samples.values())
    price = _price({request for previewed in seeds for request in previewed.request_ids}, costs)
    return (
        f"{kept} samples from {len(seeds)} seeds: {tallies.asked} queries of at most {planned.most_queries},"
        f" {tallies.reused} of them answered before; price {price}. The generation reuses all of it."
    )
