from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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


CROPS = st.lists(
    st.tuples(
        st.integers(0, 5),  # individual
        st.one_of(st.none(), st.integers(0, 9)),  # encounter
        st.integers(0, 15),  # photo
    ),
    max_size=60,
)


@given(
    CROPS,
    st.floats(0, 0.5),
    st.integers(0, 100),
    st.lists(st.tuples(st.integers(0, 59), st.integers(0, 59)), max_size=5),
)
def test_no_split_ever_leaks(crops, share, seed, pairs):
    individuals = [f"I{individual}" for individual, _, _ in crops]
    encounters = [encounter for _, encounter, _ in crops]
    photos = [photo for _, _, photo in crops]
    pairs = [(a, b) for a, b in pairs if a < len(crops) and b < len(crops)]

    split = split_by_encounter(
        individuals,
        encounters,
        photos,
        share=share,
        rng=np.random.default_rng(seed),
        duplicates=pairs,
    )

    train, validation = set(split.train.tolist()), set(split.validation.tolist())
    assert train | validation == set(range(len(crops)))
    assert not train & validation
    for keys in (encounters, photos):
        assert not ({keys[i] for i in train} & {keys[i] for i in validation} - {None})
    assert all((a in train) == (b in train) for a, b in pairs)
    # Whoever is asked about can be known.
    assert {individuals[i] for i in validation} <= {individuals[i] for i in train}


def test_same_seed_same_split_and_another_seed_another():
    individuals = [f"I{i % 6}" for i in range(60)]
    encounters = [i % 30 for i in range(60)]

    def split(seed: int) -> list[int]:
        return split_by_encounter(
            individuals,
            encounters,
            list(range(60)),
            share=0.2,
            rng=np.random.default_rng(seed),
        ).validation.tolist()

    assert split(1) == split(1)
    assert split(1) != split(2)


def test_every_individual_with_two_encounters_is_asked_about_when_there_is_room():
    individuals = [f"I{i % 6}" for i in range(60)]
    encounters = list(range(60))

    split = split_by_encounter(
        individuals,
        encounters,
        list(range(60)),
        share=0.2,
        rng=np.random.default_rng(0),
    )

    assert {individuals[i] for i in split.validation} == set(individuals)
    assert len(split.validation) == 12
    assert "12 encounters" in split.note


@pytest.mark.parametrize(
    ("encounters", "share", "words"),
    [([1, 2, 3], 0.3, "No validation is possible"), ([1, 1, 1], 0.0, "asked for")],
)
def test_says_in_words_when_there_is_no_validation(encounters, share, words):
    split = split_by_encounter(
        ["a", "b", "c"],
        encounters,
        [1, 2, 3],
        share=share,
        rng=np.random.default_rng(0),
    )

    assert len(split.validation) == 0
    assert split.train.tolist() == [0, 1, 2]
    assert words in split.note


def test_crops_without_encounter_stay_with_their_photo():
    split = split_by_encounter(
        ["a", "b"] * 10,
        [None] * 20,
        [i // 2 for i in range(20)],  # two animals on each photo
        share=0.2,
        rng=np.random.default_rng(0),
    )

    assert len(split.validation) == 4
    assert split.n_validation_encounters == 2
