"""Minimal rows of the populations app, without hidden side effects."""

from __future__ import annotations

import hashlib

import factory

from populations.models import (
    Annotation,
    Detection,
    DetectionRun,
    Detector,
    Encounter,
    ImportBatch,
    Individual,
    Membership,
    Photo,
    PhotoLabel,
    Population,
    Sighting,
)
from tests.factories.accounts import UserFactory


class PopulationFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Population

    name = factory.Sequence(lambda n: f"Dolphins of bay {n}")
    slug = factory.Sequence(lambda n: f"bay-{n}")


class MembershipFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Membership

    population = factory.SubFactory(PopulationFactory)
    user = factory.SubFactory(UserFactory)
    role = Membership.Role.VIEWER


class IndividualFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Individual

    population = factory.SubFactory(PopulationFactory)
    code = factory.Sequence(lambda n: f"T{n:03d}")


class EncounterFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Encounter

    population = factory.SubFactory(PopulationFactory)
    name = factory.Sequence(lambda n: f"2024-05-{n:04d}")


class PhotoFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Photo

    population = factory.SubFactory(PopulationFactory)
    sha256 = factory.Sequence(lambda n: hashlib.sha256(str(n).encode()).hexdigest())
    original_name = factory.Sequence(lambda n: f"IMG_{n:04d}.jpg")
    file = factory.LazyAttribute(
        lambda o: f"populations/x/photos/{o.sha256[:2]}/{o.sha256}.jpg"
    )
    width_px = 640
    height_px = 480
    size_bytes = 1000


class PhotoLabelFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = PhotoLabel

    photo = factory.SubFactory(PhotoFactory)
    individual = factory.SubFactory(
        IndividualFactory, population=factory.SelfAttribute("..photo.population")
    )


class ImportBatchFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = ImportBatch

    population = factory.SubFactory(PopulationFactory)
    source = ImportBatch.Source.FOLDER
    labels = ImportBatch.Labels.FOLDERS


class DetectorFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Detector

    population = factory.SubFactory(PopulationFactory)
    name = factory.Sequence(lambda n: f"Detector {n}")
    sha256 = factory.Sequence(lambda n: hashlib.sha256(f"d{n}".encode()).hexdigest())
    file = factory.LazyAttribute(lambda o: f"detectors/{o.sha256}.onnx")
    size_bytes = 1000
    status = Detector.Status.READY
    classes = factory.LazyFunction(lambda: {"0": "fin"})
    input_width_px = 640
    input_height_px = 640
    layout = "yolov8"


class DetectionRunFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = DetectionRun

    population = factory.SubFactory(PopulationFactory)
    detector = factory.SubFactory(
        DetectorFactory, population=factory.SelfAttribute("..population")
    )


class DetectionFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Detection

    photo = factory.SubFactory(PhotoFactory)
    run = factory.SubFactory(
        DetectionRunFactory, population=factory.SelfAttribute("..photo.population")
    )
    x1 = 10
    y1 = 20
    x2 = 110
    y2 = 120
    confidence = 0.9
    class_name = "fin"
    area_part = 1.0
    centrality_part = 0.5
    prominence = 0.82


class AnnotationFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Annotation

    photo = factory.SubFactory(PhotoFactory)
    x1 = 10
    y1 = 20
    x2 = 110
    y2 = 120
    individual = factory.SubFactory(
        IndividualFactory, population=factory.SelfAttribute("..photo.population")
    )
    evidence = Annotation.Evidence.ATTESTED


class SightingFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Sighting

    encounter = factory.SubFactory(EncounterFactory)
    number = factory.Sequence(lambda n: n + 1)
