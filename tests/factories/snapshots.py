"""Minimal rows of the snapshots app; the stored objects are real files."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import factory
import numpy as np
from django.utils import timezone

from finwave.home import home
from snapshots import store
from snapshots.models import (
    Deployment,
    Embedding,
    Identification,
    Onboarding,
    OnboardingFile,
    Snapshot,
    StoredObject,
    Suggestion,
    TrainedModel,
)
from tests.factories.populations import (
    AnnotationFactory,
    EncounterFactory,
    PopulationFactory,
    SightingFactory,
)


def stored(content: bytes) -> StoredObject:
    path = home() / f"source-{len(content)}"
    path.write_bytes(content)
    try:
        return store.put_file(path)
    finally:
        path.unlink()


class TrainedModelFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = TrainedModel

    population = factory.SubFactory(PopulationFactory)
    name = factory.Sequence(lambda n: f"Fins {n}")
    task = TrainedModel.Task.IDENTIFICATION
    architecture = "tf_efficientnet_lite0"


class SnapshotFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Snapshot

    model = factory.SubFactory(TrainedModelFactory)
    name = factory.Sequence(lambda n: f"snapshot {n}")
    cause = Snapshot.Cause.FINISHED
    expires_at = factory.LazyFunction(lambda: timezone.now() + timedelta(days=30))
    job_number = factory.Sequence(lambda n: n + 1)
    job_title = "Train fins"
    epoch = 3
    weights = factory.LazyFunction(lambda: stored(b"weights"))
    config = factory.LazyFunction(lambda: {"epochs": 3})
    classes = factory.LazyFunction(lambda: ["T001", "T002"])
    metrics = factory.LazyFunction(
        lambda: {"top1": 0.75, "mean_average_precision": 0.5, "n_queries": 40}
    )
    manifest = factory.LazyFunction(
        lambda: stored(json.dumps([{"split": "train"}, {"split": "val"}]).encode())
    )
    fingerprint = "f" * 64
    n_annotations = 2
    n_photos = 2
    n_individuals = 2
    size_bytes = 1000
    code_version = "0.1.0"


class DeploymentFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Deployment

    snapshot = factory.SubFactory(SnapshotFactory)
    population = factory.SelfAttribute("snapshot.model.population")
    status = Deployment.Status.ACTIVE
    encoder = factory.LazyFunction(lambda: stored(b"encoder"))


def vector(*values: float, size: int = 8) -> bytes:
    """Return a unit vector whose first values are these, as it is stored."""
    padded = np.zeros(size, "<f4")
    padded[: len(values)] = values
    return (padded / np.linalg.norm(padded)).astype("<f4").tobytes()


class EmbeddingFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Embedding

    deployment = factory.SubFactory(DeploymentFactory)
    annotation = factory.SubFactory(AnnotationFactory)
    crop_sha256 = factory.SelfAttribute("annotation.crop_sha256")
    vector = factory.LazyFunction(lambda: vector(1.0))


class SuggestionFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Suggestion

    sighting = factory.SubFactory(SightingFactory)
    deployment = factory.SubFactory(DeploymentFactory)
    rank = 1
    similarity = 0.8


class IdentificationFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Identification

    sighting = factory.SubFactory(SightingFactory)
    answer = Identification.Answer.SKIPPED


class OnboardingFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Onboarding

    encounter = factory.SubFactory(EncounterFactory, origin="onboarded")


class OnboardingFileFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = OnboardingFile

    onboarding = factory.SubFactory(OnboardingFactory)
    path = factory.Sequence(lambda n: f"{n:05d}.jpg")
    name = factory.Sequence(lambda n: f"IMG_{n}.jpg")


def crop_file(annotation: object, content: bytes = b"crop") -> Path:
    """Give an annotation a crop file under the home folder."""
    name = f"populations/x/training-data/_unidentified/{annotation.pk}.jpg"
    path = home() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    annotation.crop.name = name
    annotation.crop_sha256 = f"{annotation.pk:064x}"
    annotation.save(update_fields=["crop", "crop_sha256"])
    return path
