"""Which crops are learnt from and which are asked about. Numpy only.

Crops of one encounter resemble each other in light, water and pose. A model that saw
one of them would answer the others without knowing the animal, so a whole encounter
goes to one side. Crops of one photo and near-duplicates stay together as well.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Split:
    """Indices of the two sides, and what there is to say about them."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]  # empty when no validation is possible
    n_validation_encounters: int
    note: str  # a sentence for the user


def split_by_encounter(
    individuals: Sequence[str],
    encounters: Sequence[Hashable | None],
    photos: Sequence[Hashable | None],
    *,
    share: float,
    rng: np.random.Generator,
    duplicates: Iterable[tuple[int, int]] = (),
) -> Split:
    """Hold out whole encounters for validation.

    Every individual keeps at least one encounter to learn from; hence only individuals
    with two or more can be asked about. Encounters that bring individuals not yet held
    out go first, until the share of crops is reached.

    Args:
        individuals: N codes.
        encounters: N encounters; a crop with None is an encounter of its own.
        photos: N photos; crops of one photo are never parted (None: unknown photo).
        share: wanted share of the crops in validation, in [0, 0.5].
        rng: decides among equals.
        duplicates: pairs of crops that must not be parted.

    Returns:
        The split; deterministic for given arguments and state of `rng`.
    """
    n = len(individuals)
    everything = np.arange(n)
    if share == 0:
        return Split(everything, everything[:0], 0, "No validation was asked for.")
    group = _groups(encounters, photos, duplicates)
    held_out = _choose(individuals, group, share * n, rng)

    is_validation = np.isin(group, held_out)
    train, validation = everything[~is_validation], everything[is_validation]
    if len(validation) == 0:
        note = (
            "No validation is possible: no encounter can be held out without "
            "losing an individual. Individuals photographed in two or more "
            "encounters are needed. Accuracy is not measured."
        )
        return Split(train, validation, 0, note)
    n_asked = len({individuals[i] for i in validation})
    note = (
        f"{len(validation)} of {n} crops are held out for validation: "
        f"{_count(len(held_out), 'encounter')} with {n_asked} of "
        f"{_count(len(set(individuals)), 'individual')}. No encounter is on both sides."
    )
    return Split(train, validation, len(held_out), note)


def _choose(
    individuals: Sequence[str],
    group: NDArray[np.int64],
    wanted: float,
    rng: np.random.Generator,
) -> list[int]:
    """Return the groups to hold out, greedily."""
    size = np.bincount(group)
    members: list[set[str]] = [set() for _ in size]
    for code, g in zip(individuals, group, strict=True):
        members[g].add(code)
    n_left = dict.fromkeys(set(individuals), 0)
    for codes in members:
        for code in codes:
            n_left[code] += 1

    held_out: list[int] = []
    asked: set[str] = set()
    n_held = 0
    # Most new individuals first, then the fewest crops for them, then by lot. What a
    # group would add only shrinks, so an outdated entry is put back and looked at again.
    lot = rng.permutation(len(size))
    heap = [(-len(members[g]), int(size[g]), int(lot[g]), g) for g in range(len(size))]
    heapq.heapify(heap)
    while heap and n_held < wanted:
        promised, n_crops, ticket, g = heapq.heappop(heap)
        # Half again as much as wanted is the most that one large encounter may add.
        is_too_large = n_crops > max(1.5 * wanted - n_held, 1)
        if is_too_large or any(n_left[code] < 2 for code in members[g]):
            continue
        n_new = len(members[g] - asked)
        if n_new < -promised:
            heapq.heappush(heap, (-n_new, n_crops, ticket, g))
            continue
        held_out.append(g)
        asked |= members[g]
        n_held += n_crops
        for code in members[g]:
            n_left[code] -= 1
    # Where a few large encounters are all there is, one that leaves at least half to
    # learn from is better than no measurement.
    if not held_out:
        possible = [
            (int(size[g]), int(lot[g]), g)
            for g in range(len(size))
            if size[g] <= 0.5 * len(group) and all(n_left[c] > 1 for c in members[g])
        ]
        held_out = [min(possible)[2]] if possible else []
    return held_out


def _groups(
    encounters: Sequence[Hashable | None],
    photos: Sequence[Hashable | None],
    duplicates: Iterable[tuple[int, int]],
) -> NDArray[np.int64]:
    """Number the sets of crops that must stay together, by union-find."""
    parent = list(range(len(encounters)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: dict[tuple[str, Hashable], int] = {}
    for kind, keys in (("encounter", encounters), ("photo", photos)):
        for i, key in enumerate(keys):
            if key is not None:
                j = first.setdefault((kind, key), i)
                parent[root(i)] = root(j)
    for i, j in duplicates:
        parent[root(i)] = root(j)
    roots = [root(i) for i in range(len(parent))]
    return np.unique(np.asarray(roots, np.int64), return_inverse=True)[1].astype(
        np.int64
    )


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
