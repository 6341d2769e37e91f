"""The object for this user, or 404 for a stranger, 403 for a member without the right.

Every view starts here; nothing else decides who may see or change what.
"""

from __future__ import annotations

from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404

from finwave.jobs.models import Job
from populations.models import (
    Annotation,
    DetectionRun,
    Detector,
    Encounter,
    ImportBatch,
    Individual,
    Membership,
    Photo,
    Population,
)

Role = Membership.Role

REFUSAL = "This needs the role {needed} in {population}; you are {has}."


def role_of(user: User | AnonymousUser, population: Population) -> int:
    """Return the user's role in the population; 0 for a stranger.

    Superusers count as administrators everywhere. Costs one query.
    """
    if not user.is_authenticated:
        return 0
    if user.is_superuser:
        return Role.ADMINISTRATOR
    role = (
        Membership.objects.filter(user=user, population=population)
        .values_list("role", flat=True)
        .first()
    )
    return role or 0


def require_role(user: User, population: Population, needed: Role) -> Population:
    """Return the population with `role` set on it, or raise 404 or 403."""
    role = role_of(user, population)
    if not role:
        raise Http404
    if role < needed:
        raise PermissionDenied(
            REFUSAL.format(
                needed=needed.label.lower(),
                population=population,
                has=Role(role).label.lower(),
            )
        )
    population.role = role
    return population


def population_for(user: User, slug: str, needed: Role = Role.VIEWER) -> Population:
    population = get_object_or_404(
        Population.objects.select_related("default_detector"), slug=slug
    )
    return require_role(user, population, needed)


def population_for_annotating(user: User, slug: str) -> Population:
    return population_for(user, slug, Role.ANNOTATOR)


def population_for_training(user: User, slug: str) -> Population:
    return population_for(user, slug, Role.TRAINER)


def population_for_administration(user: User, slug: str) -> Population:
    return population_for(user, slug, Role.ADMINISTRATOR)


def photo_in(population: Population, pk: int) -> Photo:
    return get_object_or_404(
        Photo.objects.select_related("encounter"), population=population, pk=pk
    )


def annotation_in(population: Population, pk: int) -> Annotation:
    return get_object_or_404(
        Annotation.objects.select_related("photo", "individual"),
        photo__population=population,
        pk=pk,
    )


def encounter_in(population: Population, pk: int) -> Encounter:
    return get_object_or_404(Encounter, population=population, pk=pk)


def individual_in(population: Population, pk: int) -> Individual:
    return get_object_or_404(Individual, population=population, pk=pk)


def import_batch_in(population: Population, pk: int) -> ImportBatch:
    return get_object_or_404(
        ImportBatch.objects.select_related("job"), population=population, pk=pk
    )


def detection_run_in(population: Population, pk: int) -> DetectionRun:
    return get_object_or_404(
        DetectionRun.objects.select_related("job", "detector"),
        population=population,
        pk=pk,
    )


def detector_in(population: Population, pk: int) -> Detector:
    return get_object_or_404(Detector.objects.usable_in(population), pk=pk)


def visible_populations(user: User) -> QuerySet[Population]:
    return Population.objects.visible_to(user)


# For the kinds of job that belong to a population (finwave.jobs.kinds).


def can_view_job(user: User | AnonymousUser, job: Job) -> bool:
    return role_of(user, Population(pk=job.scope_id)) >= Role.VIEWER


def can_stop_job(user: User | AnonymousUser, job: Job) -> bool:
    return role_of(user, Population(pk=job.scope_id)) >= Role.TRAINER
