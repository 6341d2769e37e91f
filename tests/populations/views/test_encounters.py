from __future__ import annotations

from datetime import date

import pytest

from tests.factories.populations import (
    AnnotationFactory,
    EncounterFactory,
    PhotoFactory,
    PhotoLabelFactory,
    SightingFactory,
)
from tests.populations.conftest import assert_access

URL = "/populations/firth/encounters/"


def test_encounters_are_listed_newest_first_with_their_counts(team):
    EncounterFactory(population=team.population, name="Undated")
    EncounterFactory(population=team.population, name="Old", date_on=date(2010, 1, 1))
    new = EncounterFactory(
        population=team.population, name="New", date_on=date(2020, 1, 1)
    )
    EncounterFactory(name="Foreign")
    for photo in PhotoFactory.create_batch(
        2, population=team.population, encounter=new
    ):
        PhotoLabelFactory.create_batch(3, photo=photo)
    SightingFactory.create_batch(4, encounter=new)

    page = team.client("viewer").get(URL).content.decode()

    assert page.index(">New<") < page.index(">Old<") < page.index(">Undated<")
    assert "Foreign" not in page
    row = "".join(page[page.index(">New<") : page.index(">Old<")].split())
    assert '<tdclass="number">2</td><tdclass="number">6</td>' in row
    assert "4waiting" in row


def test_encounters_are_searched(team):
    EncounterFactory(population=team.population, name="A1", place="Skagen")
    EncounterFactory(population=team.population, name="B2", photographer="Ana")
    client = team.client("viewer")

    assert "A1" in client.get(f"{URL}?q=skag").content.decode()
    assert "A1" not in client.get(f"{URL}?q=ana").content.decode()
    assert "No encounter fits" in client.get(f"{URL}?q=zzz").content.decode()


@pytest.mark.parametrize("n", [1, 3])
def test_list_costs_the_same_for_more_encounters(n, team, django_assert_num_queries):
    for encounter in EncounterFactory.create_batch(n, population=team.population):
        PhotoFactory(population=team.population, encounter=encounter)
    client = team.client("viewer")

    with django_assert_num_queries(8):
        client.get(URL)


def test_an_encounter_shows_photos_animals_and_individuals(team):
    encounter = EncounterFactory(population=team.population, name="Bout 7")
    photo = PhotoFactory(population=team.population, encounter=encounter)
    label = PhotoLabelFactory(photo=photo, individual__code="T049")
    sighting = SightingFactory(encounter=encounter, number=5)
    crop = AnnotationFactory(photo=photo, sighting=sighting, crop="x.jpg")
    PhotoFactory(population=team.population)

    page = team.client("viewer").get(f"{URL}{encounter.pk}/").content.decode()

    assert label.individual.code in page
    assert "Animal 5" in page
    assert f"/annotations/{crop.pk}/crop/" in page
    assert page.count("/file/thumb/") == 1


@pytest.mark.parametrize("n", [1, 3])
def test_page_costs_the_same_for_more_photos(n, team, django_assert_num_queries):
    encounter = EncounterFactory(population=team.population)
    for photo in PhotoFactory.create_batch(
        n, population=team.population, encounter=encounter
    ):
        label = PhotoLabelFactory(photo=photo)
        sighting = SightingFactory(encounter=encounter, individual=label.individual)
        AnnotationFactory(photo=photo, sighting=sighting)
    client = team.client("viewer")

    with django_assert_num_queries(13):
        client.get(f"{URL}{encounter.pk}/")


def test_encounters_access(team):
    encounter = EncounterFactory(population=team.population)

    assert_access(team, URL, "viewer")
    assert_access(team, f"{URL}{encounter.pk}/", "viewer")
    foreign = EncounterFactory()
    assert team.client("viewer").get(f"{URL}{foreign.pk}/").status_code == 404
