"""A person's answers about animals: who it is, undo, split and merge."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime
from typing import TypedDict

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Max
from django.db.models.deletion import RestrictedError
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from populations.models import (
    Annotation,
    Encounter,
    Individual,
    Sighting,
)
from populations.services import crops
from snapshots.exceptions import IdentificationError
from snapshots.models import Identification, Suggestion
from snapshots.queries.deployments import active_deployment
from snapshots.services.codes import find_individual, refuse_code
from snapshots.services.suggestions import suggest

logger = logging.getLogger(__name__)


class AnnotationBefore(TypedDict):
    annotation: int
    individual: int | None
    evidence: str
    decided_by: int | None
    decided_at: str | None


class Before(TypedDict):
    """What "undo" puts back."""

    status: str
    individual: int | None
    confirmed_by: int | None
    confirmed_at: str | None
    created_individual: int | None
    annotations: list[AnnotationBefore]


def accept(*, sighting: Sighting, suggestion: Suggestion, user: User) -> Identification:
    """Confirm one of the suggestions.

    Raises:
        IdentificationError: when it stands for a new individual, or cannot be right.
    """
    if suggestion.individual is None:
        raise IdentificationError("A new individual needs a code. Enter one.")
    return _answer(
        sighting,
        user,
        answer=Identification.Answer.ACCEPTED,
        individual=suggestion.individual,
    )


def choose(*, sighting: Sighting, code: str, user: User) -> Identification:
    """Confirm the individual with this code or alternative code.

    Raises:
        UnknownCode: with the codes that look like it.
        IdentificationError: when it cannot be right.
    """
    individual = find_individual(sighting.encounter.population, code)
    is_suggested = sighting.suggestions.filter(individual=individual).exists()
    answer = (
        Identification.Answer.ACCEPTED if is_suggested else Identification.Answer.OTHER
    )
    return _answer(sighting, user, answer=answer, individual=individual)


def name_new(*, sighting: Sighting, code: str, user: User) -> Identification:
    """Confirm an animal that nobody knew, and put it into the catalogue.

    Raises:
        IdentificationError: when the code is taken or breaks the pattern.
    """
    population = sighting.encounter.population
    code = code.strip()
    with transaction.atomic():
        refuse_code(population, code)
        individual = Individual.objects.create(population=population, code=code)
        return _answer(
            sighting,
            user,
            answer=Identification.Answer.NEW,
            individual=individual,
            is_created=True,
        )


def skip(*, sighting: Sighting, user: User) -> Identification:
    """Leave an animal for later; it can still be answered."""
    return _answer(
        sighting, user, answer=Identification.Answer.SKIPPED, individual=None
    )


def undo(*, identification: Identification) -> Sighting:
    """Put everything back as it was before an answer.

    Raises:
        IdentificationError: when it was undone already, or the animal or one of its
            crops was answered or changed since.
    """
    sighting = identification.sighting
    before: Before = identification.before
    with transaction.atomic():
        _lock(sighting)
        _refuse_undo(identification)
        Identification.objects.filter(pk=identification.pk).update(
            undone_at=timezone.now()
        )
        Sighting.objects.filter(pk=sighting.pk).update(
            status=before["status"],
            individual=before["individual"],
            confirmed_by=before["confirmed_by"],
            confirmed_at=_parse(before["confirmed_at"]),
        )
        for row in before["annotations"]:
            Annotation.objects.filter(pk=row["annotation"]).update(
                individual=row["individual"],
                evidence=row["evidence"],
                decided_by=row["decided_by"],
                decided_at=_parse(row["decided_at"]),
            )
        _delete_created(before["created_individual"])
    sighting.refresh_from_db()
    _after(sighting)
    return sighting


def split(*, annotation: Annotation, user: User) -> Sighting:
    """Take a crop out of its animal into an animal of its own.

    Raises:
        IdentificationError: when the animal is confirmed or this is its only crop.
    """
    sighting = annotation.sighting
    if sighting is None:
        raise IdentificationError("This crop belongs to no animal.")
    with transaction.atomic():
        _lock(sighting)
        _refuse_confirmed(sighting)
        if sighting.annotations.filter(is_dropped=False).count() < 2:
            raise IdentificationError("This is the animal's only crop.")
        encounter = sighting.encounter
        highest = encounter.sightings.aggregate(n=Max("number"))["n"] or 0
        new = Sighting.objects.create(encounter=encounter, number=highest + 1)
        Annotation.objects.filter(pk=annotation.pk).update(sighting=new)
    logger.info("sighting=%s split user=%s", sighting.pk, user.pk)
    refresh_suggestions(encounter)
    return new


def merge(*, sighting: Sighting, other: Sighting, user: User) -> Sighting:
    """Make two animals of an encounter one; `sighting` stays.

    Raises:
        IdentificationError: when one is confirmed, or both are on one photo.
    """
    if sighting.pk == other.pk or sighting.encounter_id != other.encounter_id:
        raise IdentificationError("Choose another animal of this encounter.")
    with transaction.atomic():
        _lock(sighting)
        _refuse_confirmed(sighting)
        _refuse_confirmed(other)
        places = {(a.photo_id, a.category) for a in _crops(sighting)}
        for annotation in _crops(other):
            if (annotation.photo_id, annotation.category) in places:
                raise IdentificationError(
                    f"Animals {sighting.number} and {other.number} are both on "
                    f"{annotation.photo}, so they are not the same."
                )
        Annotation.objects.filter(sighting=other).update(sighting=sighting)
        other.delete()
    logger.info("sighting=%s merged user=%s", sighting.pk, user.pk)
    refresh_suggestions(sighting.encounter)
    return sighting


def refresh_suggestions(encounter: Encounter) -> None:
    """Rank the waiting animals again; the gallery or the animals have changed."""
    deployment = active_deployment(encounter.population_id)
    if deployment:
        suggest(
            deployment, encounter.sightings.exclude(status=Sighting.Status.CONFIRMED)
        )


def _answer(
    sighting: Sighting,
    user: User,
    *,
    answer: str,
    individual: Individual | None,
    is_created: bool = False,
) -> Identification:
    now = timezone.now()
    with transaction.atomic():
        _lock(sighting)
        annotations = _crops(sighting)
        if individual:
            _refuse_twice(annotations, individual)
        before = _before(sighting, annotations)
        if is_created and individual:
            before["created_individual"] = individual.pk
        won = (
            Sighting.objects.filter(pk=sighting.pk)
            .exclude(status=Sighting.Status.CONFIRMED)
            .update(
                status=Sighting.Status.CONFIRMED
                if individual
                else Sighting.Status.SKIPPED,
                individual=individual,
                confirmed_by=user if individual else None,
                confirmed_at=now if individual else None,
            )
        )
        if won != 1:
            raise IdentificationError(
                f"{sighting} was answered meanwhile. Undo that answer first."
            )
        if individual:
            Annotation.objects.filter(pk__in=[a.pk for a in annotations]).update(
                individual=individual,
                evidence=Annotation.Evidence.CONFIRMED,
                decided_by=user,
                decided_at=now,
            )
        suggested = sighting.suggestions.select_related("deployment").first()
        identification = Identification.objects.create(
            sighting=sighting,
            answer=answer,
            individual=individual,
            rank=_rank_of(sighting, answer, individual),
            snapshot_id=suggested.deployment.snapshot_id if suggested else None,
            answered_by=user,
            before=before,
        )
    sighting.refresh_from_db()
    if individual:
        _after(sighting)
    return identification


def _after(sighting: Sighting) -> None:
    """Once an answer is written: files to their place, the others ranked anew."""
    for annotation in _crops(sighting):
        crops.move_crop(annotation)
    refresh_suggestions(sighting.encounter)


def _rank_of(
    sighting: Sighting, answer: str, individual: Individual | None
) -> int | None:
    if answer == Identification.Answer.SKIPPED:
        return None
    is_new = answer == Identification.Answer.NEW
    row = sighting.suggestions.filter(individual=None if is_new else individual).first()
    return row.rank if row else None


def _crops(sighting: Sighting) -> list[Annotation]:
    return list(
        Annotation.objects.kept()
        .filter(sighting=sighting)
        .select_related("photo", "individual")
        .order_by("pk")
    )


def _lock(sighting: Sighting) -> None:
    """Make everybody who changes animals of this encounter wait for each other."""
    Encounter.objects.select_for_update().get(pk=sighting.encounter_id)


def _refuse_confirmed(sighting: Sighting) -> None:
    sighting.refresh_from_db(fields=["status"])
    if sighting.status == Sighting.Status.CONFIRMED:
        raise IdentificationError(
            f"Animal {sighting.number} is confirmed. Undo that answer first."
        )


def _refuse_twice(annotations: Iterable[Annotation], individual: Individual) -> None:
    for annotation in annotations:
        twin = (
            Annotation.objects.kept()
            .filter(
                photo=annotation.photo_id,
                category=annotation.category,
                individual=individual,
            )
            .exclude(sighting=annotation.sighting_id)
            .first()
        )
        if twin:
            what = f" as another {twin.category}" if twin.category else ""
            raise IdentificationError(
                f"{individual} is on {annotation.photo} already{what}: one animal "
                "cannot be there twice."
            )


def _refuse_undo(identification: Identification) -> None:
    identification.refresh_from_db()
    if identification.undone_at:
        raise IdentificationError("This answer was undone already.")
    latest = (
        Identification.objects.filter(
            sighting=identification.sighting_id, undone_at=None
        )
        .order_by("-pk")
        .first()
    )
    if latest is None or latest.pk != identification.pk:
        raise IdentificationError("The animal was answered again since. Undo that.")
    ids = [row["annotation"] for row in identification.before["annotations"]]
    changed = Annotation.objects.filter(pk__in=ids).exclude(
        individual=identification.individual_id
    )
    if identification.individual_id and changed.exists():
        raise IdentificationError(
            "A crop of this animal was relabelled since, so nothing was undone."
        )


def _before(sighting: Sighting, annotations: Iterable[Annotation]) -> Before:
    sighting.refresh_from_db()
    return {
        "status": sighting.status,
        "individual": sighting.individual_id,
        "confirmed_by": sighting.confirmed_by_id,
        "confirmed_at": _text(sighting.confirmed_at),
        "created_individual": None,
        "annotations": [
            {
                "annotation": annotation.pk,
                "individual": annotation.individual_id,
                "evidence": annotation.evidence,
                "decided_by": annotation.decided_by_id,
                "decided_at": _text(annotation.decided_at),
            }
            for annotation in annotations
        ],
    }


def _delete_created(individual_id: int | None) -> None:
    """Delete the individual an answer had created, unless it is used elsewhere."""
    if individual_id is None:
        return
    Identification.objects.filter(individual=individual_id).update(individual=None)
    try:
        with transaction.atomic():
            Individual.objects.filter(pk=individual_id).delete()
    except RestrictedError:
        logger.info("individual=%s kept, it is used", individual_id)


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _parse(moment: str | None) -> datetime | None:
    return parse_datetime(moment) if moment else None
