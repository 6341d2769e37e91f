from __future__ import annotations

import pytest

from tests.factories.populations import PopulationFactory
from tests.factories.training import TrainingSetFactory, TrainingSetItemFactory
from training.models import TrainingSet

LIST = "/populations/bay/training/sets/"
NEW = "/populations/bay/training/sets/new/"


def test_freezing_leads_to_the_set(client, trainer, population, make_crops):
    make_crops(2)
    client.force_login(trainer)

    response = client.post(NEW, {"name": "Spring", "min_crops": 2})

    training_set = TrainingSet.objects.get()
    assert response.url == f"/populations/bay/training/sets/{training_set.pk}/"
    assert training_set.n_crops == 8


def test_taken_name_is_said(client, trainer, population, make_crops):
    make_crops(2)
    TrainingSetFactory(population=population, name="Spring")
    client.force_login(trainer)

    response = client.post(NEW, {"name": "Spring", "min_crops": 2})

    assert response.status_code == 422
    assert "There is a training set of that name already" in response.content.decode()


@pytest.mark.parametrize("n_sets", [1, 3])
def test_query_count_of_the_list_does_not_grow(
    client, viewer, population, n_sets, django_assert_num_queries
):
    for _ in range(n_sets):
        TrainingSetFactory(population=population)
    client.force_login(viewer)

    with django_assert_num_queries(N_LIST):
        client.get(LIST)


N_LIST = 8
N_DETAIL = 11


@pytest.mark.parametrize("n_items", [1, 3])
def test_query_count_of_a_set_does_not_grow(
    client, viewer, population, n_items, django_assert_num_queries
):
    training_set = TrainingSetFactory(population=population)
    for _ in range(n_items):
        TrainingSetItemFactory(training_set=training_set)
    client.force_login(viewer)

    with django_assert_num_queries(N_DETAIL):
        client.get(f"{LIST}{training_set.pk}/")


def test_set_of_another_population_is_not_found(client, viewer, population):
    other = TrainingSetFactory(population=PopulationFactory())
    client.force_login(viewer)

    assert client.get(f"{LIST}{other.pk}/").status_code == 404


def test_viewer_may_look_but_not_freeze(client, viewer, population):
    client.force_login(viewer)

    assert client.get(LIST).status_code == 200
    assert client.get(NEW).status_code == 403


@pytest.mark.parametrize("url", [LIST, NEW])
def test_stranger_finds_nothing(client, stranger, population, url):
    client.force_login(stranger)

    assert client.get(url).status_code == 404


@pytest.mark.parametrize("url", [LIST, NEW])
def test_anonymous_is_asked_to_sign_in(client, viewer, population, url):
    assert client.get(url).status_code == 302
