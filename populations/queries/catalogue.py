"""Reads of encounters and individuals."""

from __future__ import annotations

from django.db.models import (
    Count,
    Exists,
    F,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
)

from populations.models import (
    Annotation,
    Encounter,
    Individual,
    IndividualAlias,
    Photo,
    PhotoLabel,
    Population,
    Sighting,
)
from populations.models.photos import Side


def encounters_of(population: Population, text: str = "") -> QuerySet[Encounter]:
    """Return encounters with how many photos and waiting sightings each has."""
    photos = Photo.objects.filter(encounter=OuterRef("pk"))
    waiting = Sighting.objects.filter(
        encounter=OuterRef("pk"), status=Sighting.Status.WAITING
    )
    labels = PhotoLabel.objects.filter(photo__encounter=OuterRef("pk"))
    encounters = Encounter.objects.filter(population=population).annotate(
        n_photos=count(photos, "encounter"),
        n_waiting=count(waiting, "encounter"),
        n_individuals=count(labels, "photo__encounter", "individual"),
        first_photo=Subquery(photos.order_by("pk").values("pk")[:1]),
    )
    if text:
        encounters = encounters.filter(
            Q(name__icontains=text)
            | Q(place__icontains=text)
            | Q(photographer__icontains=text)
        )
    return encounters.order_by(F("date_on").desc(nulls_last=True), "-pk")


def count(rows: QuerySet, group: str, what: str = "pk") -> Subquery:  # type: ignore[type-arg]  # any model's
    return Subquery(
        rows.order_by().values(group).annotate(n=Count(what, distinct=True)).values("n")
    )


def photos_in(encounter: Encounter) -> QuerySet[Photo]:
    return (
        Photo.objects.filter(encounter=encounter)
        .prefetch_related("labels__individual")
        .order_by(F("taken_at").asc(nulls_last=True), "original_name")
    )


def sightings_in(encounter: Encounter) -> QuerySet[Sighting]:
    crops = Annotation.objects.filter(sighting=OuterRef("pk"), is_dropped=False)
    return (
        Sighting.objects.filter(encounter=encounter)
        .select_related("individual", "confirmed_by")
        .annotate(
            n_crops=count(crops, "sighting"),
            best_crop=Subquery(best_first(crops.cut_out()).values("pk")[:1]),
        )
        .order_by("number")
    )


def individuals_seen_in(encounter: Encounter) -> QuerySet[Individual]:
    labels = PhotoLabel.objects.filter(
        individual=OuterRef("pk"), photo__encounter=encounter
    )
    crops = Annotation.objects.kept().filter(
        individual=OuterRef("pk"), photo__encounter=encounter
    )
    return Individual.objects.filter(population=encounter.population_id).filter(
        Exists(labels) | Exists(crops)
    )


def individuals_of(population: Population, text: str = "") -> QuerySet[Individual]:
    """Return individuals in natural order, with counts and their best picture."""
    crops = Annotation.objects.training_data().filter(individual=OuterRef("pk"))
    labels = PhotoLabel.objects.filter(individual=OuterRef("pk"))
    individuals = Individual.objects.filter(population=population).annotate(
        n_crops=count(crops, "individual"),
        n_photos=count(labels, "individual"),
        n_encounters=count(
            labels.filter(photo__encounter__isnull=False),
            "individual",
            "photo__encounter",
        ),
        best_crop=Subquery(best_first(crops.cut_out()).values("pk")[:1]),
        first_photo=Subquery(labels.order_by("photo").values("photo")[:1]),
    )
    if text:
        aliases = IndividualAlias.objects.filter(
            individual=OuterRef("pk"), code__icontains=text
        )
        individuals = individuals.filter(
            Q(code__icontains=text) | Q(name__icontains=text) | Exists(aliases)
        )
    return individuals.order_by("code_sort", "pk")


def best_first(crops: QuerySet[Annotation]) -> QuerySet[Annotation]:
    """Order crops by how much they show: large ones first, then sharp ones."""
    return crops.annotate(n_pixels=F("crop_width_px") * F("crop_height_px")).order_by(
        "-n_pixels", F("sharpness").desc(nulls_last=True), "pk"
    )


def pictures_by_side(individual: Individual) -> list[tuple[str, list[Annotation]]]:
    """Return the side's name with its crops, best first; sides without are left out."""
    crops = best_first(
        Annotation.objects.training_data()
        .filter(individual=individual)
        .cut_out()
        .select_related("photo__encounter")
    )
    by_side: dict[str, list[Annotation]] = {}
    for crop in crops:
        by_side.setdefault(crop.side, []).append(crop)
    return [(side.label, by_side[side]) for side in Side if side in by_side]


def encounters_with(individual: Individual) -> QuerySet[Encounter]:
    labels = PhotoLabel.objects.filter(
        individual=individual, photo__encounter=OuterRef("pk")
    )
    crops = Annotation.objects.kept().filter(
        individual=individual, photo__encounter=OuterRef("pk")
    )
    return (
        Encounter.objects.filter(population=individual.population_id)
        .filter(Exists(labels) | Exists(crops))
        .annotate(n_photos=count(labels, "photo__encounter", "photo"))
        .order_by(F("date_on").desc(nulls_last=True), "-pk")
    )


def labelled_photos_of(individual: Individual) -> QuerySet[Photo]:
    labels = PhotoLabel.objects.filter(individual=individual, photo=OuterRef("pk"))
    return Photo.objects.filter(Exists(labels)).prefetch_related("labels__individual")
