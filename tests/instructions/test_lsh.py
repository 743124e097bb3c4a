from __future__ import annotations

from typing import cast

import numpy as np
import pytest
from datasketch import MinHash, MinHashLSH
from numpy.typing import NDArray

from teams_dagster.instructions.lsh import BandedLSH


def related(members: int) -> NDArray[np.uint32]:
    """Signatures of which most share some values with an earlier one."""
    chance = np.random.default_rng(5)
    signatures = chance.integers(1 << 32, size=(members, 128), dtype=np.uint32)
    for member in range(1, members):
        shared = chance.random(128) < chance.choice([0.0, 0.5, 0.8, 1.0])
        signatures[member, shared] = signatures[chance.integers(member), shared]
    return signatures


@pytest.mark.slow
@pytest.mark.parametrize(("bands", "rows"), [(25, 5), (32, 4)])
def test_the_candidates_are_those_of_datasketch_however_often_it_grew(bands: int, rows: int) -> None:
    ours, theirs = BandedLSH(bands, rows), MinHashLSH(num_perm=128, params=(bands, rows))
    found = 0
    for number, signature in enumerate(related(2_500)):
        minhash = MinHash(num_perm=128, hashvalues=signature, scheme="affine32")
        candidates = ours.candidates(signature)
        assert candidates == sorted(cast("list[int]", theirs.query(minhash)))
        found += len(candidates)
        ours.add(signature)
        theirs.insert(number, minhash)
    assert len(ours) == 2_500
    assert found > 2_500


def test_a_member_takes_at_most_twenty_four_bytes_a_band() -> None:
    lsh = BandedLSH(32, 4)
    for signature in np.random.default_rng(0).integers(1 << 32, size=(1_025, 128), dtype=np.uint32):
        lsh.add(signature)
    held = sum(array.nbytes for array in vars(lsh).values() if isinstance(array, np.ndarray) and array.ndim == 2)
    assert held <= 1_025 * 32 * 24  # just after it grew; 12 just before
