from __future__ import annotations

import pytest

from tests.factories.snapshots import (
    DeploymentFactory,
    SnapshotFactory,
    TrainedModelFactory,
)
from tests.snapshots.conftest import Role

URL = "/populations/bay/models/"
N_QUERIES = 10


def test_list_shows_the_models_of_this_population_only(client, viewer, model):
    snapshot = SnapshotFactory(model=model, is_current=True, name="the newest")
    DeploymentFactory(snapshot=snapshot)
    TrainedModelFactory(name="Elsewhere")
    client.force_login(viewer)

    content = client.get(URL).content.decode()

    assert "Fins" in content
    assert "the newest" in content
    assert "75.0" in content
    assert "Deployed" in content
    assert "Elsewhere" not in content


def test_what_was_not_measured_says_so(client, viewer, model):
    SnapshotFactory(model=model, is_current=True, metrics={})
    client.force_login(viewer)

    assert "not measured" in client.get(URL).content.decode()


def test_empty_list_says_why(client, viewer, population):
    client.force_login(viewer)

    assert "No model yet" in client.get(URL).content.decode()


def test_list_is_paged(client, viewer, population, monkeypatch):
    monkeypatch.setattr("snapshots.views.models.MODELS_PER_PAGE", 2)
    for n in range(3):
        TrainedModelFactory(population=population, name=f"Model {n}")
    client.force_login(viewer)

    assert "Model 0" not in client.get(URL).content.decode()
    assert "Model 0" in client.get(URL, {"page": 2}).content.decode()


@pytest.mark.parametrize("n_models", [1, 3])
def test_query_count_does_not_grow(
    client, viewer, population, n_models, django_assert_num_queries
):
    for _ in range(n_models):
        model = TrainedModelFactory(population=population)
        SnapshotFactory(model=model, is_current=True)
        SnapshotFactory(model=model)
    client.force_login(viewer)

    with django_assert_num_queries(N_QUERIES):
        client.get(URL)


def test_access(check_access):
    check_access(URL, Role.VIEWER)
