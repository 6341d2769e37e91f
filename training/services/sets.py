"""Freezing training sets: what a model learns from never changes under it."""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
from collections import Counter
from pathlib import Path

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from finwave.home import home, population_folder
from populations.models import Annotation, Population
from training.exceptions import TrainingRefused
from training.models import TrainingSet, TrainingSetItem


def fingerprint(pairs: list[tuple[str, str]]) -> str:
    """Return the SHA-256 over the sorted (crop hash, individual code) pairs."""
    lines = "\n".join(f"{crop} {code}" for crop, code in sorted(pairs))
    return hashlib.sha256(lines.encode()).hexdigest()


def usable_annotations(population: Population, *, min_crops: int) -> list[Annotation]:
    """Return the crops that may teach: kept, named, cut out, individuals with enough."""
    annotations = list(
        Annotation.objects.for_population(population)
        .training_data()
        .cut_out()
        .select_related("individual", "photo")
    )
    counts = Counter(a.individual_id for a in annotations)
    return [a for a in annotations if counts[a.individual_id] >= min_crops]


@transaction.atomic
def freeze_training_set(
    *, population: Population, name: str, user: User | None, min_crops: int = 2
) -> TrainingSet:
    """Write down today's training crops under a name.

    The crop files are linked into a folder of the set's own, so that relabelling or
    dropping a crop later changes nothing here.

    Raises:
        TrainingRefused: if there are fewer than two individuals to tell apart.
    """
    annotations = usable_annotations(population, min_crops=min_crops)
    codes = {a.individual.code for a in annotations if a.individual}
    if len(codes) < 2:
        raise TrainingRefused(
            "An identification model needs at least two individuals with "
            f"{min_crops} crops or more each; there are {len(codes)}. Bring in more "
            "labelled photographs, or rescue some of tier 3."
        )
    pairs = [(a.crop_sha256, a.individual.code) for a in annotations if a.individual]
    training_set = TrainingSet.objects.create(
        population=population,
        name=name,
        fingerprint=fingerprint(pairs),
        n_crops=len(annotations),
        n_individuals=len(codes),
        n_encounters=len({a.photo.encounter_id for a in annotations} - {None}),
        created_by=user,
    )
    folder = set_folder(training_set)
    items = [
        frozen_item(training_set, annotation, folder) for annotation in annotations
    ]
    # In an order of the content, so that equal sets and seeds give equal models whatever
    # the order in which the photographs came in.
    items.sort(key=lambda item: (item.individual_code, item.crop_sha256))
    TrainingSetItem.objects.bulk_create(items, batch_size=500)
    return training_set


def set_for_job(
    *,
    population: Population,
    training_set: TrainingSet | None,
    min_crops: int,
    user: User | None,
) -> TrainingSet:
    """Return the chosen set, or today's crops frozen.

    A set with the same content is taken again rather than made twice.

    Raises:
        TrainingRefused: if there is too little to train on.
    """
    if training_set is not None:
        return training_set
    pairs = [
        (a.crop_sha256, a.individual.code)
        for a in usable_annotations(population, min_crops=min_crops)
        if a.individual
    ]
    same = TrainingSet.objects.filter(
        population=population, fingerprint=fingerprint(pairs)
    ).first()
    if same:
        return same
    return freeze_training_set(
        population=population,
        name=free_set_name(population),
        user=user,
        min_crops=min_crops,
    )


def free_set_name(population: Population) -> str:
    """Return a name with today's date that no training set has yet."""
    today = f"Crops of {timezone.localdate():%Y-%m-%d}"
    taken = set(
        TrainingSet.objects.filter(
            population=population, name__startswith=today
        ).values_list("name", flat=True)
    )
    names = itertools.chain([today], (f"{today} ({n})" for n in itertools.count(2)))
    return next(name for name in names if name not in taken)


def set_folder(training_set: TrainingSet) -> Path:
    return (
        population_folder(training_set.population_id)
        / "training-sets"
        / str(training_set.pk)
    )


def frozen_item(
    training_set: TrainingSet, annotation: Annotation, folder: Path
) -> TrainingSetItem:
    assert annotation.individual is not None
    frozen = folder / annotation.crop_sha256[:2] / f"{annotation.crop_sha256}.jpg"
    link_or_copy(Path(annotation.crop.path), frozen)
    return TrainingSetItem(
        training_set=training_set,
        annotation=annotation,
        photo_id=annotation.photo_id,
        individual_code=annotation.individual.code,
        encounter_id=annotation.photo.encounter_id,
        side=annotation.side,
        box_xyxy=[annotation.x1, annotation.y1, annotation.x2, annotation.y2],
        crop=str(frozen.relative_to(home())),
        crop_sha256=annotation.crop_sha256,
    )


def link_or_copy(source: Path, target: Path) -> None:
    """Make `target` the same content as `source`: a hard link costs no space."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        return
    if not source.exists():
        raise TrainingRefused(
            f"The crop {source.name} is missing on disk. Run the detection of its photo "
            "again, then make the training set."
        )
    try:
        target.hardlink_to(source)
    except FileExistsError:
        return
    except OSError:  # another file system, or one without hard links
        temporary = target.with_suffix(f".{os.getpid()}.tmp")
        shutil.copyfile(source, temporary)
        temporary.replace(target)
