"""Which deployment is at work, and which crops it compares with."""

from __future__ import annotations

from django.db.models import QuerySet

from populations.models import Annotation
from snapshots.models import Deployment


def active_deployment(population_id: int) -> Deployment | None:
    return (
        Deployment.objects.select_related("snapshot__model", "encoder")
        .filter(population_id=population_id, status=Deployment.Status.ACTIVE)
        .first()
    )


def gallery_annotations(population_id: int) -> QuerySet[Annotation]:
    """Return the crops that a new animal is compared with."""
    return (
        Annotation.objects.training_data()
        .filter(photo__population_id=population_id)
        .cut_out()
    )
