"""Ranking the individuals of the gallery for animals that wait for a name.

Numpy only: a request may call it, since the embeddings are stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from django.db import transaction

from populations.models import Annotation, Individual, Sighting
from snapshots.models import Deployment, Suggestion
from snapshots.services.gallery import Vectors, load_gallery, vectors_of

if TYPE_CHECKING:
    from finwave.ml.calibration import Calibration

TOP = 5


def suggest(deployment: Deployment, sightings: Iterable[Sighting]) -> None:
    """Write the best individuals for each of these animals, and "new" among them.

    Earlier suggestions of an animal are replaced, in one transaction an animal.
    """
    from finwave.ml.calibration import Calibration  # noqa: PLC0415 -- slow import

    gallery = load_gallery(deployment)
    calibration = Calibration.from_json(deployment.calibration)
    for sighting in sightings:
        crops = Annotation.objects.kept().filter(sighting=sighting)
        query = vectors_of(deployment, crops)
        rows = _rows(query, gallery, calibration) if len(query) else []
        _write(sighting, deployment, rows)


def _rows(
    query: Vectors, gallery: Vectors, calibration: Calibration | None
) -> list[Suggestion]:
    from finwave.ml.gallery import rank_sighting  # noqa: PLC0415 -- slow import

    # A crop is never its own evidence.
    others = ~np.isin(gallery.annotation_ids, query.annotation_ids)
    index = np.flatnonzero(others)
    if len(index) == 0:
        return [Suggestion(probability=1.0 if calibration else None)]
    candidates = rank_sighting(
        query.embeddings,
        gallery.embeddings[index],
        gallery.individual_ids[index],
        query_sides=query.sides,
        gallery_sides=[gallery.sides[i] for i in index],
    )
    similarities = np.array([c.similarity for c in candidates], np.float32)
    known, new = (
        calibration.probabilities(similarities) if calibration else (None, None)
    )
    rows = [
        Suggestion(
            individual_id=candidate.label,
            similarity=candidate.similarity,
            probability=None if known is None else float(known[rank]),
            best_match_id=gallery.annotation_ids[index[candidate.best_match]],
        )
        for rank, candidate in enumerate(candidates[:TOP])
    ]
    return _with_new(rows, None if new is None else float(new))


def _with_new(rows: list[Suggestion], probability: float | None) -> list[Suggestion]:
    """Put "a new individual" where its probability belongs; last if there is none."""
    place = len(rows)
    if probability is not None:
        place = sum((row.probability or 0) >= probability for row in rows)
    return [*rows[:place], Suggestion(probability=probability), *rows[place:]]


def _write(
    sighting: Sighting, deployment: Deployment, rows: Sequence[Suggestion]
) -> None:
    with transaction.atomic():
        Suggestion.objects.filter(sighting=sighting).delete()
        # Individuals and crops may have gone since the gallery was read.
        individuals = set(
            Individual.objects.filter(
                pk__in=[row.individual_id for row in rows if row.individual_id]
            ).values_list("pk", flat=True)
        )
        crops = set(
            Annotation.objects.filter(
                pk__in=[row.best_match_id for row in rows if row.best_match_id]
            ).values_list("pk", flat=True)
        )
        kept = [
            row
            for row in rows
            if row.individual_id is None or row.individual_id in individuals
        ]
        for rank, row in enumerate(kept, start=1):
            row.sighting = sighting
            row.deployment = deployment
            row.rank = rank
            if row.best_match_id not in crops:
                row.best_match_id = None
        Suggestion.objects.bulk_create(kept)
        _corroborate(sighting, kept)


def _corroborate(sighting: Sighting, rows: Sequence[Suggestion]) -> None:
    """Where somebody said who it is and the model's first answer agrees, note both."""
    if rows and rows[0].individual_id:
        Annotation.objects.filter(
            sighting=sighting,
            individual=rows[0].individual_id,
            evidence=Annotation.Evidence.ATTESTED,
        ).update(evidence=Annotation.Evidence.CORROBORATED)
