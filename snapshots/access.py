"""The object for this user, or 404 for a stranger, 403 for a member without the right.

The population and its role are decided in `populations.access`; these look below it.
"""

from __future__ import annotations

from django.contrib.auth.models import AnonymousUser, User
from django.shortcuts import get_object_or_404

from finwave.jobs.models import Job
from populations.access import Role, role_of
from populations.models import Annotation, Population, Sighting
from snapshots.models import (
    Deployment,
    Identification,
    Onboarding,
    Snapshot,
    TrainedModel,
)


def model_in(population: Population, pk: int) -> TrainedModel:
    return get_object_or_404(
        TrainedModel.objects.select_related("population", "parent_snapshot__model"),
        population=population,
        pk=pk,
    )


def snapshot_in(population: Population, pk: int) -> Snapshot:
    return get_object_or_404(
        Snapshot.objects.select_related("model__population", "weights", "manifest"),
        model__population=population,
        pk=pk,
    )


def deployment_in(population: Population, pk: int) -> Deployment:
    return get_object_or_404(
        Deployment.objects.select_related("snapshot__model", "job", "created_by"),
        population=population,
        pk=pk,
    )


def onboarding_in(population: Population, encounter_pk: int) -> Onboarding | None:
    return (
        Onboarding.objects.select_related("job", "detection_run")
        .filter(encounter__population=population, encounter=encounter_pk)
        .first()
    )


def sighting_in(population: Population, pk: int) -> Sighting:
    return get_object_or_404(
        Sighting.objects.select_related("encounter__population"),
        encounter__population=population,
        pk=pk,
    )


def crop_in(sighting: Sighting, pk: int) -> Annotation:
    return get_object_or_404(
        Annotation.objects.select_related("sighting__encounter"),
        sighting=sighting,
        pk=pk,
    )


def identification_in(population: Population, pk: int) -> Identification:
    return get_object_or_404(
        Identification.objects.select_related("sighting__encounter"),
        sighting__encounter__population=population,
        pk=pk,
    )


def can_stop_onboarding(user: User | AnonymousUser, job: Job) -> bool:
    return role_of(user, Population(pk=job.scope_id)) >= Role.ANNOTATOR
