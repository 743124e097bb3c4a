"""The Markdown page: for each figure the goal, what was reached, and where we lose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.llm.figures import Spread
from benchmarks.policy import figures
from benchmarks.policy.growth import SEEDS
from benchmarks.policy.recipes import PPO_RECIPE, TRPO_RECIPE
from benchmarks.policy.rollouts import RolloutFigures
from benchmarks.policy.scenarios import GOAL_SCENARIO, Row
from benchmarks.policy.update import ALGORITHMS, OURS, OURS_OWN_CRITIC, PEER, PEER_DOUBLE, PEER_THREADS

GOAL_SHARE = 0.85
"""Of the ideal rate of rollouts."""

GOAL_EXPONENT = 1.1
"""Growth up to here is called linear: the smaller run has the caches of the processor on its side."""

NOTHING_MB = 1.0
"""Less than this is the allocator's luck."""

PEERS = {"trpo": "sb3-contrib's TRPO", "ppo": "stable-baselines3's PPO"}


@dataclass(frozen=True)
class Circumstances:
    """What a reader needs to know to take the figures again."""

    date: str
    minutes: float
    machine: Mapping[str, str]
    versions: Mapping[str, str]
    trial: bool
    """Whether the sizes were too small to mean anything."""


def page(rows: Sequence[Row], circumstances: Circumstances) -> str:
    """The whole page."""
    parts = [
        _head(circumstances),
        "## Goals\n\n" + "\n".join(_goals(rows)),
        "## Rollouts\n\n" + "\n".join(_rollouts(rows)),
        "## One update\n\n" + "\n".join(_updates(rows)),
        "## Growth\n\n" + "\n".join(_growth(rows)),
        "## Where we lose\n\n" + "\n".join(_losses(rows)),
    ]
    return "\n\n".join(parts) + "\n"


def _head(c: Circumstances) -> str:
    machine = "\n".join(f"- {name}: {value}" for name, value in c.machine.items())
    versions = ", ".join(f"{name} {number}" for name, number in c.versions.items())
    note = "\n\n**A trial run of tiny sizes: its figures mean nothing.**" if c.trial else ""
    return (
        "# Training a policy: rollouts, updates, growth\n\n"
        f"Made by `make bench-policy` on {c.date} in {c.minutes:.0f} minutes.{note}\n\n{machine}\n"
        f"- versions: {versions}\n- each row in a process of its own, one after the other"
    )


def _goals(rows: Sequence[Row]) -> Iterator[str]:
    yield "| figure | goal | reached | |"
    yield "|---|---|---|---|"
    for row in rows:
        if row.rollouts is not None and row.scenario == GOAL_SCENARIO:
            share = figures.shares(row.rollouts)
            reached = f"{share.median:.0%} (lowest {share.low:.0%})"
            yield _goal("rollouts, share of the ideal rate", f"{GOAL_SHARE:.0%}", reached, share.median >= GOAL_SHARE)
    for peer_side in (PEER, PEER_DOUBLE):
        for algorithm, transitions, ours, peer in _pairs(rows, peer_side):
            ratio = figures.cpu_s(ours) / figures.cpu_s(peer)
            name = f"{algorithm.upper()} update of {transitions:,} transitions, CPU time over that of"
            yield _goal(f"{name} {_side(peer_side, algorithm)}", "1.00", f"{ratio:.2f}", ratio <= 1)
    if (grown := _grown(rows)) and len(grown) > 1:
        power = figures.exponent(grown)
        name = "growth of CPU time with transitions, as a power"
        yield _goal(name, f"{GOAL_EXPONENT:g}", f"{power:.2f}", power <= GOAL_EXPONENT)


def _goal(name: str, goal: str, reached: str, met: bool) -> str:
    return f"| {name} | {goal} | {reached} | {'met' if met else '**missed**'} |"


def _rollouts(rows: Sequence[Row]) -> Iterator[str]:
    found = [(row.scenario, row.rollouts) for row in rows if row.rollouts is not None]
    yield (
        "Trainings by the real `train`: the `openai` client, the engine and an SQLite ledger against a loopback server"
        " in another process. Every edit adds ten words in the reply format of its operation, one review in eight says"
        " Equal. A batch is timed from its first question to its last episode, tail included: no rollout begins before"
        " the update before. The ideal keeps every slot busy: parallel calls / (2 x latency), where no more calls"
        " can be under way than a batch has episodes."
    )
    yield ""
    yield (
        "| | calls allowed at once | episodes a batch | ideal, transitions/s | transitions/s | share of the ideal"
        " | its middle eight tenths | most in flight | client CPU a call, ms | next update, s | load |"
    )
    yield "|---" * 11 + "|"
    for name, f in found:
        yield _rollout_row(name, f)
    yield ""
    yield from _reading_rollouts(found)


def _rollout_row(name: str, f: RolloutFigures) -> str:
    share, steady = figures.shares(f), figures.steady_shares(f)
    update = figures.later_updates(f.batches)
    cells = [
        name,
        f"{f.parallel}",
        f"{f.batches[0].episodes}",
        f"{figures.ideal_rate(f):.0f}",
        _range(figures.rates(f), ".0f"),
        _range(share, ".0%"),
        _range(steady, ".0%"),
        f"{f.served.most_in_flight}",
        f"{figures.cpu_ms_per_call(f):.2f}",
        "" if update is None else f"{update:.2f}",
        f"{f.load:.1f}",
    ]
    return f"| {' | '.join(cells)} |"


def _reading_rollouts(found: Sequence[tuple[str, RolloutFigures]]) -> Iterator[str]:
    yield (
        "The share counts calls, not transitions: an edit that was refused leaves its episode where it was, the same"
        " operation then asks the same question, and its answer is reused from the ledger, which takes no slot."
    )
    for name, f in found:
        if name == GOAL_SCENARIO:
            published = figures.published_rate(figures.mean_latency_s(f))
            times = figures.rates(f).median / published
            yield (
                f"By arithmetic, the published code, which asks one question at a time and sleeps {figures.SLEEP_S:g} s"
                f" before each, makes {published:.2f} transitions a second at this latency: we make {times:,.0f} times"
                " as many."
            )
        elif len(f.latencies_s) > 1:
            lockstep = figures.lockstep_rate(f)
            yield (
                f"Where calls take {_milliseconds(f.latencies_s)}, episodes that waited at each step for its slowest"
                f" answer would make {lockstep:.0f} a second at most; ours make {figures.rates(f).median:.0f}."
            )


def _updates(rows: Sequence[Row]) -> Iterator[str]:
    t, p = TRPO_RECIPE, PPO_RECIPE
    yield (
        "The same batch for every side (509 features, one hidden layer of 64, 7 choices), on one thread each, as a"
        " training computes. TRPO:"
        f" at most {t.cg_iterations} conjugate gradient steps and {t.backtracks} step sizes, then {t.epochs} passes of"
        f" Adam over the critic in minibatches of {t.minibatch}. PPO: {p.epochs} passes in minibatches of"
        f" {p.minibatch}. Ours computes in float64, and its time includes values, log-probabilities and advantages,"
        " which the peers have computed before `train()` begins. `own critic` is our default, L-BFGS on the whole"
        " batch. Median of the repeats; memory is the peak of resident memory less that before, batch not included."
    )
    yield ""
    yield "| update | transitions | | s | CPU s | peak MB | load |"
    yield "|---|---|---|---|---|---|---|"
    for row in rows:
        if row.update is not None:
            u, seconds = row.update, figures.seconds(row)
            cells = [u.algorithm.upper(), f"{u.transitions:,}", _side(u.side, u.algorithm), f"{seconds:.3f}"]
            cells += [f"{figures.cpu_s(row):.3f}", f"{figures.peak_mb(row):.0f}", f"{row.costs[-1].load:.1f}"]
            yield f"| {' | '.join(cells)} |"


def _growth(rows: Sequence[Row]) -> Iterator[str]:
    yield (
        "A batch and its update in process, against a model that answers at once: no network, no ledger. The training"
        f" has {SEEDS:,} seeds whatever the batch."
    )
    yield ""
    yield (
        "| episodes | transitions | s | rollouts, CPU us a transition | update, CPU us a transition | peak MB"
        " | MB per 1,000 transitions | load |"
    )
    yield "|---" * 8 + "|"
    for g in _grown(rows):
        cells = [f"{g.episodes:,}", f"{g.transitions:,}", f"{g.total.seconds:.2f}"]
        cells += [f"{1e6 * cpu_s / g.transitions:.0f}" for cpu_s in (g.rollout_cpu_s, g.update_cpu_s)]
        cells += [f"{g.total.peak_mb:.0f}", f"{1_000 * g.total.peak_mb / g.transitions:.1f}", f"{g.total.load:.1f}"]
        yield f"| {' | '.join(cells)} |"


def _losses(rows: Sequence[Row]) -> Iterator[str]:
    lost = [line for line in (*_lost_rollouts(rows), *_lost_updates(rows), *_lost_growth(rows)) if line]
    yield from lost or ["- In no figure of this page."]


def _lost_rollouts(rows: Sequence[Row]) -> Iterator[str]:
    for row in rows:
        if row.rollouts is not None and (share := figures.shares(row.rollouts).median) < 1:
            steady = figures.steady_shares(row.rollouts).median
            yield (
                f"- Rollouts, {row.scenario}: {1 - share:.0%} of the ideal is lost, {1 - steady:.0%} also while all"
                " slots are wanted (calls that take longer than the server's latency), the rest where a batch begins"
                " and ends."
            )


def _lost_updates(rows: Sequence[Row]) -> Iterator[str]:
    for peer_side in (PEER, PEER_DOUBLE, PEER_THREADS):
        for algorithm, transitions, ours, peer in _pairs(rows, peer_side):
            name = f"{algorithm.upper()}, {transitions:,} transitions, against {_side(peer_side, algorithm)}"
            what, timed = ("time", figures.seconds) if peer_side == PEER_THREADS else ("CPU time", figures.cpu_s)
            if timed(ours) > timed(peer):
                yield f"- {name}: {what} {timed(ours):.3f} s, theirs {timed(peer):.3f} s."
            mine_mb, theirs_mb = figures.peak_mb(ours), figures.peak_mb(peer)
            if mine_mb > theirs_mb + NOTHING_MB:
                yield f"- {name}: peak memory {mine_mb:.0f} MB, theirs {theirs_mb:.0f} MB."


def _lost_growth(rows: Sequence[Row]) -> Iterator[str]:
    if len(grown := _grown(rows)) > 1 and (power := figures.exponent(grown)) > GOAL_EXPONENT:
        yield f"- Growth: CPU time grows with the power {power:.2f} of the transitions."


def _pairs(rows: Sequence[Row], peer_side: str) -> Iterator[tuple[str, int, Row, Row]]:
    """Algorithm, transitions, our update, the peer's."""
    for algorithm in ALGORITHMS:
        for transitions in sorted({row.update.transitions for row in rows if row.update is not None}):
            ours, peer = (figures.update_of(rows, side, algorithm, transitions) for side in (OURS, peer_side))
            if ours is not None and peer is not None:
                yield algorithm, transitions, ours, peer


def _grown(rows: Sequence[Row]) -> list[figures.GrowthFigures]:
    return [row.growth for row in rows if row.growth is not None]


def _side(side: str, algorithm: str) -> str:
    return {
        OURS: "ours",
        OURS_OWN_CRITIC: "ours, own critic",
        PEER: f"{PEERS[algorithm]} (float32, its own)",
        PEER_DOUBLE: f"{PEERS[algorithm]} cast to float64",
        PEER_THREADS: f"{PEERS[algorithm]} (float32, all threads)",
    }[side]


def _milliseconds(latencies_s: Sequence[float]) -> str:
    return " or ".join(f"{1_000 * latency_s:g} ms" for latency_s in latencies_s)


def _range(value: Spread, form: str) -> str:
    low, median, high = (format(number, form) for number in (value.low, value.median, value.high))
    return median if low == high else f"{median} ({low} to {high})"
