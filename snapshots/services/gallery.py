"""What a deployed encoder makes of crops, and whom it can compare them with.

A crop's identity is always read from its annotation; embeddings know nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from django.db.models import F, QuerySet
from numpy.typing import NDArray

from finwave.home import home
from finwave.jobs.exceptions import JobError
from populations.models import Annotation
from snapshots import store
from snapshots.models import Deployment, Embedding
from snapshots.queries.deployments import gallery_annotations

if TYPE_CHECKING:
    from finwave.jobs.running import JobRun

BATCH = 16  # crops embedded between two questions whether to stop


@dataclass(frozen=True, slots=True)
class Vectors:
    """Embeddings of crops, in parallel arrays."""

    embeddings: NDArray[np.float32]  # (N, D) unit norm
    annotation_ids: list[int]
    individual_ids: NDArray[np.int64]  # (N,), 0 where nobody said who it is
    photo_ids: list[int]
    sides: list[str]

    def __len__(self) -> int:
        return len(self.annotation_ids)


def vectors_of(deployment: Deployment, annotations: QuerySet[Annotation]) -> Vectors:
    """Read the stored embeddings of these crops; those without one are left out."""
    rows = list(
        Embedding.objects.filter(deployment=deployment, annotation__in=annotations)
        .order_by("annotation_id")
        .values_list(
            "vector",
            "annotation_id",
            "annotation__individual_id",
            "annotation__photo_id",
            "annotation__side",
        )
    )
    embeddings = [np.frombuffer(row[0], "<f4") for row in rows]
    return Vectors(
        embeddings=np.stack(embeddings) if rows else np.empty((0, 0), np.float32),
        annotation_ids=[row[1] for row in rows],
        individual_ids=np.array([row[2] or 0 for row in rows], np.int64),
        photo_ids=[row[3] for row in rows],
        sides=[row[4] for row in rows],
    )


def load_gallery(deployment: Deployment) -> Vectors:
    return vectors_of(deployment, gallery_annotations(deployment.population_id))


def without_embedding(
    deployment: Deployment, annotations: QuerySet[Annotation]
) -> QuerySet[Annotation]:
    """Return those whose present crop the deployment has not embedded yet."""
    embedded = Embedding.objects.filter(
        deployment=deployment, crop_sha256=F("annotation__crop_sha256")
    )
    return annotations.exclude(crop="").exclude(pk__in=embedded.values("annotation_id"))


def ensure_gallery(deployment: Deployment, run: JobRun | None = None) -> int:
    """Embed the gallery's crops that have no embedding yet; return how many."""
    return embed(deployment, gallery_annotations(deployment.population_id), run=run)


def embed(
    deployment: Deployment,
    annotations: QuerySet[Annotation],
    *,
    run: JobRun | None = None,
) -> int:
    """Embed the crops that need it, batch by batch; return how many were.

    For workers: it loads the encoder. Stops between two batches when the job is to
    stop; what is stored by then is not done again.
    """
    missing = list(without_embedding(deployment, annotations).order_by("pk"))
    if not missing:
        return 0
    assert deployment.encoder is not None
    from finwave.ml.encoder import Encoder  # noqa: PLC0415 -- slow import
    from finwave.ml.errors import ExportError  # noqa: PLC0415 -- slow import

    store.verify(deployment.encoder)
    try:
        encoder = Encoder(store.path_of(deployment.encoder), threads=1)
    except ExportError as error:
        raise JobError(str(error)) from error
    if run:
        begin_phase(run, n_total=len(missing), phase="Comparing crops")
    n_done = n_unreadable = 0
    for batch in _batches(missing):
        if run and run.should_stop():
            break
        readable, images = _open(batch, run)
        n_unreadable += len(batch) - len(readable)
        if readable:
            _store(deployment, readable, encoder.embed(images))
        n_done += len(batch)
        if run:
            run.progress(n_done, n_failed=n_unreadable, force=n_done == len(missing))
    return n_done - n_unreadable


def begin_phase(run: JobRun, *, n_total: int, phase: str) -> None:
    """Start counting anew: what was done before may be more than the new total."""
    run.progress(0, force=True)
    run.begin(n_total=n_total, phase=phase)


def say_phase(run: JobRun, phase: str) -> None:
    """Say what is done just now, for a step too short to be counted."""
    begin_phase(run, n_total=0, phase=phase)


def _batches(annotations: Sequence[Annotation]) -> list[Sequence[Annotation]]:
    return [annotations[n : n + BATCH] for n in range(0, len(annotations), BATCH)]


def _open(
    annotations: Sequence[Annotation], run: JobRun | None
) -> tuple[list[Annotation], list[NDArray[np.uint8]]]:
    from finwave.ml.images import ImageError, open_image  # noqa: PLC0415 -- slow import

    readable, images = [], []
    for annotation in annotations:
        try:
            images.append(open_image(home() / annotation.crop.name))
        except (ImageError, OSError) as error:
            if run:
                run.log(f"Crop {annotation.pk} was left out: {error}", "warning")
            continue
        readable.append(annotation)
    return readable, images


def _store(
    deployment: Deployment,
    annotations: Sequence[Annotation],
    embeddings: NDArray[np.float32],
) -> None:
    Embedding.objects.bulk_create(
        [
            Embedding(
                deployment=deployment,
                annotation=annotation,
                crop_sha256=annotation.crop_sha256,
                vector=vector.astype("<f4").tobytes(),
            )
            for annotation, vector in zip(annotations, embeddings, strict=True)
        ],
        update_conflicts=True,
        unique_fields=["deployment", "annotation"],
        update_fields=["crop_sha256", "vector"],
    )
