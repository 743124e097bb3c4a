"""From a distance to a probability and a verdict."""

from resources.language_models.embedding.calibration import Measured, calibrate, calibration_pairs
from teams_dagster.instructions.review import Verdict
from teams_dagster.preflight.labelled_pairs import Split

NEAR = [Measured(distance, False) for distance in (0.0, 0.05, 0.1)]
FAR = [Measured(distance, False) for distance in (0.2, 0.25, 2.0)]
CHANGED = [Measured(0.01, True), Measured(0.02, True)]
MEASURED = [*NEAR, *FAR, *CHANGED]
LABELS = [Verdict.EQUAL] * len(NEAR) + [Verdict.NOT_EQUAL] * (len(FAR) + len(CHANGED))


def test_no_pair_that_tests_a_reviewer_calibrates_one():
    assert {pair.split for pair in calibration_pairs()} == {Split.CALIBRATE}


def test_a_verdict_cuts_where_the_labels_are_told_apart():
    found = calibrate(MEASURED, LABELS)

    assert [found.probability(edit) >= found.threshold for edit in MEASURED] == [
        label is Verdict.NOT_EQUAL for label in LABELS
    ]


def test_distance_and_a_changed_fact_both_make_an_edit_likelier_not_equal():
    found = calibrate(MEASURED, LABELS)

    plain, farther, changed = (
        found.probability(edit) for edit in (Measured(0.1, False), Measured(0.2, False), Measured(0.1, True))
    )
    assert plain < min(farther, changed)
