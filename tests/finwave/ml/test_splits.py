from __future__ import annotations

import numpy as np

from finwave.ml.splits import split_by_encounter


def test_one_of_few_large_encounters_is_held_out_rather_than_none():
    individuals = ["a", "b", "a", "b"] * 3
    encounters = [1, 1, 2, 2] * 3

    split = split_by_encounter(
        individuals,
        encounters,
        list(range(12)),
        share=0.2,
        rng=np.random.default_rng(1),
    )

    assert len(split.validation) == 6
    assert len({encounters[i] for i in split.validation}) == 1
