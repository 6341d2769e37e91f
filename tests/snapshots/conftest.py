"""A population with a person of each role, and a stranger."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.contrib.auth.models import User

from populations.models import Membership, Population
from snapshots import store
from snapshots.models import Deployment, TrainedModel
from snapshots.services import deployments
from tests.factories.populations import MembershipFactory, PopulationFactory
from tests.factories.snapshots import SnapshotFactory, TrainedModelFactory
from tests.populations.pictures import CELL_PX, add_detector, draw

Role = Membership.Role


@pytest.fixture
def population(db) -> Population:
    return PopulationFactory(name="Dolphins of the bay", slug="bay")


@pytest.fixture
def model(population) -> TrainedModel:
    return TrainedModelFactory(population=population, name="Fins")


def member(population: Population, role: Role) -> User:
    return MembershipFactory(population=population, role=role).user


@pytest.fixture
def viewer(population) -> User:
    return member(population, Role.VIEWER)


@pytest.fixture
def annotator(population) -> User:
    return member(population, Role.ANNOTATOR)


@pytest.fixture
def trainer(population) -> User:
    return member(population, Role.TRAINER)


@pytest.fixture
def stranger(population) -> User:
    # A member elsewhere: only the population's own members may see it.
    return MembershipFactory(role=Role.ADMINISTRATOR).user


@pytest.fixture
def check_access(client, stranger, viewer, annotator, trainer):
    """Ask a URL as everybody; whose role is below `needed` is refused."""
    people = {Role.VIEWER: viewer, Role.ANNOTATOR: annotator, Role.TRAINER: trainer}

    def check(url: str, needed: Role, *, method: str = "get") -> None:
        def ask(url):
            response = getattr(client, method)(url)
            for close in response._resource_closers:  # a download holds its file
                close()
            return response

        client.logout()
        response = ask(url)
        assert response.status_code == 302
        assert response.url.startswith("/accounts/")
        client.force_login(stranger)
        assert ask(url).status_code == 404
        for role, person in people.items():
            client.force_login(person)
            status = ask(url).status_code
            if role < needed:
                assert status == 403, role
            else:
                assert status not in (403, 404), role

    return check


TINY = {"architecture": "test_efficientnet", "image_size_px": 32, "embedding_size": 16}


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory) -> Path:
    """Weights as training leaves them: a network of a few layers, three individuals."""
    import torch

    from finwave.ml.checkpoint import HEAD, save_weights
    from finwave.ml.config import TrainConfig
    from finwave.ml.model import EmbeddingModel

    torch.manual_seed(3)
    network = EmbeddingModel(**TINY)
    path = tmp_path_factory.mktemp("weights") / "best.safetensors"
    save_weights(
        path,
        {**network.state_dict(), f"{HEAD}weight": torch.randn(3, 16)},
        config=TrainConfig(**TINY),
        classes=["A1", "B1", "C1"],
        epoch=1,
    )
    return path


@pytest.fixture(scope="session")
def tiny_encoder(tiny_weights) -> Path:
    from finwave.ml.config import TrainConfig
    from finwave.ml.export import export_encoder

    out = tiny_weights.with_name("encoder.onnx")
    export_encoder(tiny_weights, TrainConfig(**TINY), 3, out)
    return out


@pytest.fixture
def start_deployment(tiny_encoder):
    """Start a deployment whose encoder is exported already, which takes seconds."""

    def start(snapshot) -> Deployment:
        deployment = deployments.deploy_snapshot(snapshot=snapshot, user=None)
        deployment.encoder = store.put_file(tiny_encoder)
        deployment.export_difference = 1e-7
        deployment.save()
        return deployment

    return start


@pytest.fixture
def real_snapshot(model, tiny_weights):
    """A snapshot whose weights can be exported for real."""
    from finwave.ml.config import TrainConfig

    return SnapshotFactory(
        model=model,
        name="real",
        weights=store.put_file(tiny_weights),
        config=TrainConfig(**TINY).to_json(),
        classes=["A1", "B1", "C1"],
        is_current=True,
    )


# Ink of the stripes inside a red square: two animals the tiny encoder tells apart.
PLAIN, STRIPED = None, (90, 0, 0)


def picture(*animals: tuple[tuple[int, int], tuple[int, int, int] | None], seed=0):
    """Draw a photo on which the colour detector finds each of these animals."""
    image = draw(*((*cell, 1.0) for cell, _ in animals), seed=seed)
    for (column, row), ink in animals:
        if ink:
            for y in range(row * CELL_PX, (row + 1) * CELL_PX, 40):
                x = column * CELL_PX
                image.paste(ink, (x, y, x + CELL_PX, y + 20))
    return image


# The places of the squares: apart, so that each is one detection.
LEFT, RIGHT = (1, 1), (3, 3)


@pytest.fixture
def detector(population):
    detector = add_detector(population)
    population.default_detector = detector
    population.save()
    return detector


# Of a calibration only the slope and the offset make probabilities.
CALIBRATION = {
    "slope": 40.0,
    "offset": -38.0,
    "n_queries": 50,
    "expected_calibration_error": 0.05,
    "balanced_accuracy": 0.9,
    "group_threshold": 0.995,
}
