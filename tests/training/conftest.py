from __future__ import annotations

import hashlib
import io

import numpy as np
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from PIL import Image

from populations.models import Annotation, Membership, Population
from tests.factories.accounts import UserFactory
from tests.factories.populations import (
    AnnotationFactory,
    EncounterFactory,
    IndividualFactory,
    MembershipFactory,
    PhotoFactory,
    PopulationFactory,
)


@pytest.fixture
def population(db) -> Population:
    return PopulationFactory(slug="bay", name="Dolphins of the bay")


@pytest.fixture
def trainer(population):
    return MembershipFactory(population=population, role=Membership.Role.TRAINER).user


@pytest.fixture
def viewer(population):
    return MembershipFactory(population=population, role=Membership.Role.VIEWER).user


@pytest.fixture
def stranger(db):
    return UserFactory()


def write_crop(annotation: Annotation, seed: int) -> None:
    """Cut-out with a colour of the individual's own and noise of the crop's own."""
    rng = np.random.default_rng(seed)
    base = np.random.default_rng(annotation.individual_id).integers(40, 200, 3)
    pixels = base + rng.integers(-30, 30, (48, 48, 3))
    buffer = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG")
    content = buffer.getvalue()
    annotation.crop_sha256 = hashlib.sha256(content).hexdigest()
    annotation.crop = default_storage.save(
        f"populations/{annotation.photo.population_id}/training-data/{annotation.pk}.jpg",
        ContentFile(content),
    )
    annotation.save(update_fields=["crop", "crop_sha256"])


@pytest.fixture
def make_crops(population):
    """Return a function that makes crops: individuals × encounters × photos."""

    def make(n_individuals: int, n_encounters: int = 2, n_photos: int = 2) -> None:
        encounters = [
            EncounterFactory(population=population) for _ in range(n_encounters)
        ]
        for _ in range(n_individuals):
            individual = IndividualFactory(population=population)
            for encounter in encounters:
                for _ in range(n_photos):
                    annotation = AnnotationFactory(
                        photo=PhotoFactory(population=population, encounter=encounter),
                        individual=individual,
                    )
                    write_crop(annotation, annotation.pk)

    return make
