"""Training sets and jobs of a population that `populations.access` has granted."""

from __future__ import annotations

from django.shortcuts import get_object_or_404

from populations.models import Population
from training.models import TrainingJob, TrainingSet


def training_job_in(population: Population, pk: int) -> TrainingJob:
    return get_object_or_404(
        TrainingJob.objects.select_related(
            "job", "model", "training_set", "snapshot", "from_snapshot", "population"
        ),
        population=population,
        pk=pk,
    )


def training_set_in(population: Population, pk: int) -> TrainingSet:
    return get_object_or_404(TrainingSet, population=population, pk=pk)
