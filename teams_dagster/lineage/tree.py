"""A lineage as people read it: a tree in a terminal, where no text or name controls it, and metadata of an event."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from teams_dagster.core.metadata import Details, Table
from teams_dagster.core.text import money, number, shorten, visible
from teams_dagster.dataset.steering import untrained_name
from teams_dagster.lineage.forward import ForwardLineage
from teams_dagster.lineage.records import Answer, Lineage, Query, Score, Step


def lineage_details(found: Lineage) -> Details:
    """The chain from the seed, the queries, the answers with their scores, and what the sample went into."""
    seed, answer = found.seed, found.answer
    start = ("-", "seed", "", "", "", seed.get("text", "-"))
    asked = [(q.purpose, q.role, f"{q.provider}/{q.model}", q.outcome or q.status, q.request_id) for q in found.queries]
    answers = [(answer.answer, answer.reason or "yes", answer.response or "-")] if answer else []
    answers += [(other.answer, other.reason or "not chosen", other.response or "-") for other in found.other_answers]
    thought = {"reasoning": answer.reasoning} if answer and answer.reasoning else {}
    return {
        "seed": f"{seed['seed_id']}, row {seed['row']} of {seed['source']}" if seed else "not stored",
        "chain": Table(
            ("step", "operation", "probability", "outcome", "reward", "text"), [start, *map(_step, found.chain)]
        ),
        "queries": Table(("for", "role", "model", "outcome", "request"), asked),
        "answer": Table(("answer", "kept", "text"), answers),
        **thought,
        **({"scores": Table(_SCORE_COLUMNS, [_score(score) for score in found.scores])} if found.scores else {}),
        "policy": found.chain[-1].policy_version,
        "datasets": ", ".join(f"{version} ({split})" for version, split in found.datasets) or "none",
        "adapters": ", ".join(f"{kind} {model}" for kind, model, _ in found.adapters) or "none",
        "cost_nano_usd": "not known" if found.cost_nano_usd is None else found.cost_nano_usd,
    }


_SCORE_COLUMNS = ("answer", "chosen", "score", "rating", "constraints kept")


def _score(score: Score) -> tuple[object, ...]:
    return (
        score.answer,
        "yes" if score.chosen else "",
        "-" if score.score is None else score.score,
        score.rating or "-",
        f"{score.constraints - score.broken} of {score.constraints}",
    )


def _step(step: Step) -> tuple[object, ...]:
    return (
        step.step,
        step.operation,
        f"{step.probability:.3f}",
        "accepted" if step.accepted else step.eliminated_by or step.verdict or "not accepted",
        f"{step.reward:.3f}",
        step.text_after or "-",
    )


LONGEST = 400
"""Characters of a text that are shown."""

SHORT = 12
"""Characters of an id that are shown where the whole is not needed."""


def lineage_lines(lineage: Lineage, *, whole: bool = False) -> list[str]:
    """The tree of one sample; `whole` shows texts in full."""
    limit = None if whole else LONGEST
    return [
        *_head(lineage),
        *_seed(lineage, limit),
        *_steps(lineage, limit),
        *_answer(lineage, limit),
        *_other_answers(lineage, limit),
        *_scores(lineage, limit),
        *_end(lineage),
    ]


def forward_lines(found: ForwardLineage) -> list[str]:
    """What something touched, in short."""
    lines = [
        f"{found.kind} {_plain(found.value)} touched {found.samples:,} samples ({found.kept:,} kept),"
        f" {found.transitions:,} transitions of generations"
    ]
    for version, split, count in found.datasets:
        lines.append(f"├─ dataset {version}, {split}: {count:,} of its samples")
    for kind, model, dataset in found.adapters:
        lines.append(f"├─ adapter {_plain(kind)} {model}, trained on dataset {dataset}")
    for sample in found.shown:
        state = {True: "kept", False: f"refused: {sample.reason}", None: "of the past"}[sample.accepted]
        text = shorten(" ".join(_plain(sample.instruction or "").split()), 80)
        lines.append(f"├─ {sample.sample_id} {_plain(sample.partition_key or '-')} {_plain(state)}  {text}")
    if (more := found.samples - len(found.shown)) > 0:
        lines.append(f"└─ and {more:,} more samples (--limit, or --json for all)")
    return lines


def _head(lineage: Lineage) -> Iterator[str]:
    what = (
        f"sample {lineage.sample_id}" if lineage.sample_id else f"transition {lineage.transition_id}, which made none"
    )
    where = f"generation {lineage.partition_key}" if lineage.partition_key else lineage.purpose
    cost = lineage.cost_nano_usd
    paid = "at a cost that is not known" if cost is None else money(cost)
    yield f"{_plain(what)} of {_plain(where)}: {len(lineage.chain)} steps, {len(lineage.queries)} queries, {paid}"


def _seed(lineage: Lineage, limit: int | None) -> Iterator[str]:
    seed = lineage.seed
    if not seed:
        yield "├─ the seed is not stored here"
        return
    source = seed["source"] or "the seeds that ship"
    yield f"├─ seed {seed['seed_id'][:SHORT]} from {_plain(source)}, row {seed['row']}"
    yield from _text(seed["text"], seed["input"], limit)


def _steps(lineage: Lineage, limit: int | None) -> Iterator[str]:
    for step in lineage.chain:
        yield f"├─ step {step.step} {_plain(step.operation)}: {_said(step)}"
        yield f"│    {_chosen(step)}"
        yield from _queries(step.queries)
        if step.text_after is not None:
            yield from _text(step.text_after, step.input_after or "", limit)
    for step in lineage.beside:
        yield f"├─ beside it, step {step.step} {_plain(step.operation)}: {_said(step)}"


def _answer(lineage: Lineage, limit: int | None) -> Iterator[str]:
    answer: Answer | None = lineage.answer
    if answer is None:
        return
    yield "├─ answer: " + ("kept" if answer.accepted else f"refused: {_plain(answer.reason or '-')}")
    yield from _queries(answer.queries)
    if answer.reasoning:
        yield from _text("", answer.reasoning, limit, given_as="thought: ")
    if answer.response is not None:
        yield from _text(answer.response, "", limit)


def _other_answers(lineage: Lineage, limit: int | None) -> Iterator[str]:
    scored = {score.answer for score in lineage.scores}
    for other in lineage.other_answers:
        said = "not chosen" if other.accepted else f"refused: {_plain(other.reason or '-')}"
        yield f"├─ answer {other.answer}: {said}"
        yield from _queries(other.queries)
        if other.response is not None and other.answer not in scored:  # else it stands with its score
            yield from _text(other.response, "", limit)


def _scores(lineage: Lineage, limit: int | None) -> Iterator[str]:
    several = len(lineage.scores) > 1
    for score in lineage.scores:
        known = "no score" if score.score is None else f"score {score.score:.2f}"
        rating = f", rated {_plain(score.rating)}" if score.rating else ""
        checked = f", {score.constraints - score.broken} of {score.constraints} constraints kept"
        chosen = f", answer {score.answer}{', chosen' if score.chosen else ''}" if several else ""
        yield f"├─ {known}{rating}{checked if score.constraints else ''}{chosen}"
        yield from _queries(score.queries)
        if score.reply is not None:
            yield from _text(f"the judge wrote: {score.reply}", "", limit)
        if score.broken_constraints:
            yield from _text(f"broken: {score.broken_constraints}", "", limit)
        if several and not score.chosen and score.response is not None:
            yield from _text(score.response, "", limit)


def _end(lineage: Lineage) -> Iterator[str]:
    for origin in lineage.origins:
        yield (
            f"├─ {_plain(origin.asset_key)} {origin.data_version[:SHORT]}, code version {_plain(origin.code_version)},"
            f" run {_plain(origin.run_id)}, {_plain(origin.made_at[:19])}"
        )
    for version, split in lineage.datasets:
        yield f"├─ in dataset {version}, {_plain(split)}"
    for kind, model, dataset in lineage.adapters:
        yield f"├─ {_plain(kind)} adapter {model} was trained on dataset {dataset[:SHORT]}"
    policy = lineage.chain[-1].policy_version
    by = lineage.policy.get("algorithm")
    if untrained := untrained_name(policy):
        yield f"└─ policy {policy}: {untrained}, which needs no training"
    else:
        yield f"└─ policy {policy}" + (f", trained by {_plain(by)}" if by else "")


def _said(step: Step) -> str:
    if step.failure:
        return f"no answer ({_plain(step.failure)})"
    if step.operation == "none":
        return "the text was kept"
    outcome = "accepted" if step.accepted else "not accepted"
    why = _plain(step.eliminated_by or step.verdict or "") + _likely(step)
    return f"{outcome}{f' ({why})' if why else ''}, reward {number(step.reward)}"


def _likely(step: Step) -> str:
    """How sure the reviewer was, and whether the order of the texts mattered."""
    sure = "" if step.verdict_probability is None else f", P(Not Equal) {number(step.verdict_probability)}"
    if step.orders_agree is None:
        return sure
    return f"{sure}, {'the same' if step.orders_agree else 'another verdict'} with the texts the other way round"


def _chosen(step: Step) -> str:
    by = f"by {_plain(step.policy)} {step.policy_version[:SHORT]}, {_plain(step.chosen_by)}"
    prompt = f", prompt {_plain(step.prompt or '?')} {step.prompt_version[:SHORT]}" if step.prompt_version else ""
    return f"chosen with probability {number(step.probability)} {by}{prompt}"


def _queries(queries: Iterable[Query]) -> Iterator[str]:
    for query in queries:
        known = query.prompt_tokens is not None or query.completion_tokens is not None
        tokens = f"{number(query.prompt_tokens)} + {number(query.completion_tokens)} tokens, " if known else ""
        price = "price not known" if query.cost_nano_usd is None else money(query.cost_nano_usd)
        state = query.outcome or query.error_kind or query.status
        reused = ", reused" if query.reused else ""
        yield (
            f"│    {_plain(query.purpose)} by {_plain(query.role)} {_plain(query.provider)}/{_plain(query.model)}:"
            f" {_plain(state)}, {tokens}{price}{reused}, request {query.request_id[:SHORT]}"
        )


def _text(text: str, given: str, limit: int | None, *, given_as: str = "input: ") -> Iterator[str]:
    for name, content in (("", text), (given_as, given)):
        if content:
            shown = visible(content if limit is None else shorten(content, limit))
            for number_, line in enumerate(shown.split("\n")):
                yield f"│    {name if not number_ else ''}{line}"


def _plain(text: str) -> str:
    """On one line, with nothing that a terminal would obey."""
    return visible(str(text)).replace("\n", " ").replace("\t", " ")
