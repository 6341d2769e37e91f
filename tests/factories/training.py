"""Minimal rows of the training app."""

from __future__ import annotations

import factory

from finwave.ml.config import TrainConfig
from snapshots.models import TrainedModel
from tests.factories.populations import PopulationFactory
from training.models import EpochMetrics, TrainingJob, TrainingSet, TrainingSetItem


class TrainingSetFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = TrainingSet

    population = factory.SubFactory(PopulationFactory)
    name = factory.Sequence(lambda n: f"Set {n}")
    fingerprint = "f" * 64
    n_crops = 4
    n_individuals = 2
    n_encounters = 2


class TrainingSetItemFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = TrainingSetItem

    training_set = factory.SubFactory(TrainingSetFactory)
    photo_id = 1
    individual_code = "T001"
    side = "left"
    box_xyxy = factory.LazyFunction(lambda: [0, 0, 10, 10])
    crop = "crop.jpg"
    crop_sha256 = "c" * 64


class IdentificationModelFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = TrainedModel

    population = factory.SubFactory(PopulationFactory)
    name = factory.Sequence(lambda n: f"Identification {n}")
    task = TrainedModel.Task.IDENTIFICATION
    architecture = "test_efficientnet"


class TrainingJobFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = TrainingJob

    population = factory.SubFactory(PopulationFactory)
    pipeline = TrainingJob.Pipeline.IDENTIFICATION
    training_set = factory.SubFactory(
        TrainingSetFactory, population=factory.SelfAttribute("..population")
    )
    model = factory.SubFactory(
        IdentificationModelFactory, population=factory.SelfAttribute("..population")
    )
    config = factory.LazyFunction(lambda: TrainConfig().to_json())


class EpochMetricsFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = EpochMetrics

    training_job = factory.SubFactory(TrainingJobFactory)
    epoch = factory.Sequence(lambda n: n + 1)
    train_loss = 5.0
    val_loss = 6.0
    top1 = 0.5
    mean_average_precision = 0.4
    learning_rate = 0.001
    photos_per_s = 80.0
    duration_s = 3.0
