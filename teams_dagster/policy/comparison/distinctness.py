"""How distinct the texts of a policy are, as a set, beside those of other policies.

Measured, never rewarded. Every policy is measured at an equal number of texts and of tokens, because each of these
figures moves with both. They compare the policies of one call; those of another have another size.

- `distinct_1`, `distinct_2`: different words, and different pairs of neighbouring words, over all of them (Li et al.
  2016). In (0, 1]; more is more distinct.
- `nearest_similarity`: the mean over texts of the largest similarity to another text of the set. In [0, 1]; less is
  more distinct.
- `vendi_score`: exp of the entropy of the eigenvalues of K / n, K the kernel matrix of the n texts (Friedman & Dieng
  2023): the effective number of different texts. In [1, n]; more is more distinct.

Similarities are those of the kernel in `token_texts`: lexical, so a paraphrase counts as distinct.

Each of R subsamples draws half of the seeds, without replacement, the same for every policy. Of a policy's texts from
these seeds, n are taken by a shuffle, n the smallest number that any policy has (at most `MAX_TEXTS`). With B the
smallest total of tokens, every policy's texts are cut to B tokens together: to at most L each, L as large as possible,
and the first ones to L + 1 for what is left. Length gains nothing; what an edit adds at the end of a long text is the
first to be lost, though.

Intervals are Student's t over the subsamples, R - 1 degrees of freedom: mean -/+ t times their standard deviation.
Their percentiles would need 200 subsamples to cover as well. A bootstrap draws with replacement: it would put the same
text into a set twice and so make each set look less distinct than any real one. Halves drawn without replacement repeat
nothing, and the mean of a half varies as much as the mean of the whole does over other seeds: s^2 / (N/2) x (1 - 1/2)
= s^2 / N.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.rng import generator
from teams_dagster.policy.comparison.bootstrap import t_quantile
from teams_dagster.policy.comparison.token_texts import (
    DIMENSIONS,
    CutTexts,
    TokenTexts,
    Vocabulary,
    cut_texts,
    encode,
    equal_total,
    kernel_vectors,
)

METRICS = ("distinct_1", "distinct_2", "nearest_similarity", "vendi_score")

SUBSAMPLES = 20
"""With Student's t, 95% intervals of as many cover 94% to 97% (`benchmarks/evaluation`)."""

MAX_TEXTS = DIMENSIONS
"""Texts of a set that is measured, at most. More vectors than dimensions cannot all be orthogonal, so a Vendi score
could not come near n; and up to there the n x n matrix is the smaller of X X^T and X^T X, whose non-zero eigenvalues
are the same, so one matrix serves both figures."""


@dataclass(frozen=True)
class Measure:
    """A metric of a policy, or a difference between two."""

    policy: str
    metric: str
    mean: float
    """Over the subsamples."""
    ci_low: float
    ci_high: float
    subsamples: int
    """In how many it could be measured."""


@dataclass(frozen=True)
class Distinctness:
    """What was found. A metric that could not be measured at least twice is absent."""

    measures: tuple[Measure, ...]
    set_sizes: tuple[int, ...]
    """n of each subsample: how many texts of every policy were measured; 0 where no policy had any."""
    token_totals: tuple[int, ...]
    """B of each subsample: how many tokens they had together."""
    confidence: float
    values: Mapping[tuple[str, str], np.ndarray] = field(repr=False)
    """By policy and metric, the value in each subsample, shape (R,); NaN where it could not be measured."""

    def measure(self, policy: str, metric: str) -> Measure | None:
        """The figure of `policy` in `metric`; None when it could not be measured."""
        return next((found for found in self.measures if (found.policy, found.metric) == (policy, metric)), None)

    def difference(self, policy: str, other: str, metric: str) -> Measure | None:
        """By how much `policy` exceeds `other`, paired by subsample; None where both were never measured together.

        Raises KeyError for a policy or a metric that is unknown.
        """
        return _summary(
            f"{policy} - {other}", metric, self.values[policy, metric] - self.values[other, metric], self.confidence
        )


def distinctness(
    texts: Mapping[str, Mapping[str, Sequence[Instruction]]],
    *,
    root_seed: int = 0,
    subsamples: int = SUBSAMPLES,
    confidence: float = 0.95,
) -> Distinctness:
    """How distinct the accepted `texts` of each policy are: policy -> seed id -> texts, in canonical order.

    The set size is the smallest over the policies that have any text; texts without a single word do not count. Raises
    ValueError for fewer than two subsamples or a confidence outside (0, 1).
    """
    if subsamples < 2 or not 0 < confidence < 1:
        raise ValueError(f"cannot take {subsamples} subsamples with confidence {confidence}; ask for 2 and (0, 1)")
    seed_ids = sorted({seed_id for by_seed in texts.values() for seed_id in by_seed})
    encoded, vocabulary = encode(
        [[text for seed_id in seed_ids for text in by_seed.get(seed_id, ())] for by_seed in texts.values()]
    )
    seeds_of = [
        np.repeat(np.arange(len(seed_ids)), [len(by_seed.get(seed_id, ())) for seed_id in seed_ids])
        for by_seed in texts.values()
    ]
    values = np.full((subsamples, len(texts), len(METRICS)), np.nan)
    sizes: list[tuple[int, int]] = []
    for number in range(subsamples):
        chosen = _chosen(encoded, seeds_of, len(seed_ids), root_seed, number)
        cuts, size = _equal(encoded, chosen)
        sizes.append(size)
        for index, cut in cuts.items():
            values[number, index] = _measured(cut, vocabulary)
    by_name = {
        (policy, metric): values[:, row, column]
        for row, policy in enumerate(texts)
        for column, metric in enumerate(METRICS)
    }
    summaries = (_summary(policy, metric, found, confidence) for (policy, metric), found in by_name.items())
    return Distinctness(
        measures=tuple(found for found in summaries if found is not None),
        set_sizes=tuple(count for count, _ in sizes),
        token_totals=tuple(total for _, total in sizes),
        confidence=confidence,
        values=by_name,
    )


def _chosen(
    encoded: Sequence[TokenTexts], seeds_of: Sequence[np.ndarray], seeds: int, root_seed: int, number: int
) -> dict[int, np.ndarray]:
    """Subsample `number`: for each policy that has texts from its seeds, the numbers of n of them.

    The draws know no policy's name, so policies with the same texts get the same sets.
    """
    half = np.zeros(seeds, dtype=bool)
    half[generator(root_seed, "distinctness", "seeds", number).permutation(seeds)[: max(1, seeds // 2)]] = True
    held = {
        index: np.flatnonzero(half[of_texts] & (texts.lengths > 0))
        for index, (texts, of_texts) in enumerate(zip(encoded, seeds_of, strict=True))
    }
    held = {index: numbers for index, numbers in held.items() if len(numbers)}
    size = min((len(numbers) for numbers in held.values()), default=0)
    return {
        index: generator(root_seed, "distinctness", "texts", number).permutation(numbers)[: min(size, MAX_TEXTS)]
        for index, numbers in held.items()
    }


def _equal(
    encoded: Sequence[TokenTexts], chosen: Mapping[int, np.ndarray]
) -> tuple[dict[int, CutTexts], tuple[int, int]]:
    """Each policy's chosen texts, cut to the same total of tokens; with how many texts and tokens each has."""
    total = min((int(encoded[index].lengths[numbers].sum()) for index, numbers in chosen.items()), default=0)
    cuts = {
        index: cut_texts(encoded[index], numbers, equal_total(encoded[index].lengths[numbers], total))
        for index, numbers in chosen.items()
    }
    return cuts, (next((cut.texts for cut in cuts.values()), 0), total)


def _measured(cut: CutTexts, vocabulary: Vocabulary) -> tuple[float, float, float, float]:
    """The `METRICS` of one set."""
    vectors = kernel_vectors(cut, vocabulary)
    kernel = vectors @ vectors.T
    return (
        distinct_share(cut.words, len(vocabulary.word_buckets)),
        distinct_share(cut.pairs, len(vocabulary.pair_buckets)),
        nearest_similarity(kernel),
        vendi_score(kernel),
    )


def distinct_share(ids: np.ndarray, known: int) -> float:
    """How many different ids there are in `ids`, over their number; NaN when there is none. Ids are below `known`."""
    seen = np.zeros(known, dtype=bool)
    seen[ids] = True
    return float(np.count_nonzero(seen)) / len(ids) if len(ids) else float("nan")


def nearest_similarity(kernel: np.ndarray) -> float:
    """Mean over texts of the largest similarity to another one; NaN for a single text. `kernel` has shape (n, n)."""
    if len(kernel) < 2:
        return float("nan")
    others = np.where(np.eye(len(kernel), dtype=bool), 0.0, kernel)
    return float(np.clip(others.max(axis=1), 0.0, 1.0).mean())


def vendi_score(kernel: np.ndarray) -> float:
    """exp of the entropy of the eigenvalues of `kernel` / n, with 0 log 0 = 0. Shape (n, n), 1 on the diagonal."""
    eigenvalues = np.clip(np.linalg.eigvalsh(kernel.astype(np.float64)), 0.0, None)
    shares = eigenvalues[eigenvalues > 0] / eigenvalues.sum()
    return float(np.clip(np.exp(-(shares * np.log(shares)).sum()), 1.0, len(kernel)))


def _summary(policy: str, metric: str, values: np.ndarray, confidence: float) -> Measure | None:
    """Mean and Student's interval of the values that are there; None below two, which tell of no spread."""
    there = values[~np.isnan(values)]
    if len(there) < 2:
        return None
    mean, reach = float(there.mean()), t_quantile(len(there) - 1, confidence) * float(there.std(ddof=1))
    return Measure(policy, metric, mean, mean - reach, mean + reach, len(there))
