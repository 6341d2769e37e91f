from __future__ import annotations

import pytest

from training.curves import read_curves


@pytest.mark.parametrize(
    ("train", "val", "verdict"),
    [
        ([], [], "early"),
        ([5.0, 4.0], [5.0, 4.5], "early"),
        ([5.0, 4.0, 3.0], [5.0, 4.5, 4.0], "improving"),
        ([5.0, 4.0, 3.0], [None, None, None], "improving"),
        ([3.0, 3.0, 3.0], [None, None, None], "flattening"),
        ([3.0, 2.0, 1.0], [4.0, 4.2, 4.4], "overfitting"),
        ([3.0, 2.0, 1.0], [4.0, 4.01, 4.02], "flattening"),
        ([3.0, 3.1, 3.2], [4.0, 4.2, 4.4], "worsening"),
        ([3.0, 1.0, 2.5], [4.0, 3.0, 3.5], "diverging"),
        # A start that was worse does not hide it.
        ([9.0, 3.0, 2.0, 1.0], [9.0, 4.0, 4.2, 4.4], "overfitting"),
        # Flat in the last epochs, but far above the best.
        ([9.0, 5.0, 4.0, 3.0, 2.9], [4.0, 5.0, 6.0, 6.0, 6.0], "overfitting"),
        # One bad epoch after the best is no trend.
        ([9.0, 5.0, 4.0, 3.0], [6.0, 5.0, 4.0, 4.4], "improving"),
    ],
)
def test_read_curves_names_the_verdict(train, val, verdict):
    reading = read_curves(train, val)

    assert reading.verdict == verdict
    assert reading.rule
