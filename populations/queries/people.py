"""Reads about populations and their people."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db.models import Count, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from populations.models import (
    Annotation,
    Detector,
    Encounter,
    Individual,
    Membership,
    Photo,
    Population,
)


def populations_of(user: User) -> QuerySet[Population]:
    """Return the populations a user sees, each with its counts and their role."""

    def count(model: type[Photo] | type[Individual] | type[Encounter]) -> Coalesce:
        rows = (
            model._default_manager.filter(population=OuterRef("pk"))
            .order_by()
            .values("population")
            .annotate(n=Count("pk"))
            .values("n")
        )
        return Coalesce(Subquery(rows), 0)

    own_role = Membership.objects.filter(population=OuterRef("pk"), user=user)
    return (
        Population.objects.visible_to(user)
        .annotate(
            n_photos=count(Photo),
            n_individuals=count(Individual),
            n_encounters=count(Encounter),
            own_role=Subquery(own_role.values("role")[:1]),
        )
        .order_by("name")
    )


def members_of(population: Population) -> QuerySet[Membership]:
    return (
        Membership.objects.filter(population=population)
        .select_related("user")
        .order_by("-role", "user__username")
    )


@dataclass(frozen=True, slots=True)
class Contents:
    """What a population holds, hence what would go with it."""

    n_photos: int
    n_bytes: int
    n_crops: int
    n_individuals: int
    n_encounters: int
    n_detectors: int


def contents_of(population: Population) -> Contents:
    photos = Photo.objects.filter(population=population).aggregate(
        n=Count("pk"), size=Coalesce(Sum("size_bytes"), 0)
    )
    return Contents(
        n_photos=photos["n"],
        n_bytes=photos["size"],
        n_crops=Annotation.objects.for_population(population).cut_out().count(),
        n_individuals=Individual.objects.filter(population=population).count(),
        n_encounters=Encounter.objects.filter(population=population).count(),
        n_detectors=Detector.objects.filter(population=population).count(),
    )
