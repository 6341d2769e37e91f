from __future__ import annotations

import pytest

from tests.factories.populations import (
    AnnotationFactory,
    EncounterFactory,
    IndividualFactory,
    PhotoFactory,
    PhotoLabelFactory,
)
from tests.populations.conftest import assert_access

URL = "/populations/firth/individuals/"


def test_individuals_are_in_natural_order(team):
    for code in ("T10", "T9", "t1"):
        IndividualFactory(population=team.population, code=code)
    IndividualFactory(code="FOREIGN")

    page = team.client("viewer").get(URL).content.decode()

    assert page.index("<b>t1</b>") < page.index("<b>T9</b>") < page.index("<b>T10</b>")
    assert "FOREIGN" not in page


def test_the_largest_sharpest_crop_stands_for_an_individual(team):
    individual = IndividualFactory(population=team.population)
    size = {"crop_width_px": 300, "crop_height_px": 200}

    def crop(**kwargs):
        return AnnotationFactory(
            photo__population=team.population,
            individual=individual,
            crop="x.jpg",
            **kwargs,
        )

    crop(crop_width_px=100, crop_height_px=100, sharpness=900)
    crop(**size, sharpness=10)
    best = crop(**size, sharpness=50)
    crop(crop_width_px=900, crop_height_px=900, is_dropped=True)

    page = team.client("viewer").get(URL).content.decode()

    assert f"/annotations/{best.pk}/crop/" in page
    assert page.count("/crop/") == 1


def test_individuals_are_searched_by_code_name_and_alias(team):
    first = IndividualFactory(population=team.population, code="T1", name="Scar")
    IndividualFactory(population=team.population, code="T2")
    first.aliases.create(code="X77")
    client = team.client("viewer")

    for text in ("t1", "scar", "x77"):
        page = client.get(f"{URL}?q={text}").content.decode()
        assert "<b>T1</b>" in page
        assert "<b>T2</b>" not in page
    assert "No individual fits" in client.get(f"{URL}?q=zzz").content.decode()


@pytest.mark.parametrize("n", [1, 3])
def test_list_costs_the_same_for_more_individuals(n, team, django_assert_num_queries):
    for individual in IndividualFactory.create_batch(n, population=team.population):
        photo = PhotoFactory(population=team.population)
        PhotoLabelFactory(photo=photo, individual=individual)
        AnnotationFactory(photo=photo, individual=individual, crop="x.jpg")
    client = team.client("viewer")

    with django_assert_num_queries(8):
        client.get(URL)


@pytest.mark.parametrize("n", [1, 3])
def test_page_shows_everything_at_the_same_cost(n, team, django_assert_num_queries):
    individual = IndividualFactory(population=team.population, code="T049")
    individual.aliases.create(code="OLD-1")
    for _ in range(n):
        encounter = EncounterFactory(population=team.population)
        photo = PhotoFactory(population=team.population, encounter=encounter)
        PhotoLabelFactory(photo=photo, individual=individual)
        AnnotationFactory(photo=photo, individual=individual, side="left", crop="x.jpg")
    client = team.client("viewer")

    with django_assert_num_queries(14):
        page = client.get(f"{URL}{individual.pk}/").content.decode()

    assert "OLD-1" in page
    assert "Left side" in page
    assert f"Seen in {n} encounter" in page
    assert page.count("/file/thumb/") == n


def test_individuals_access(team):
    individual = IndividualFactory(population=team.population)

    assert_access(team, URL, "viewer")
    assert_access(team, f"{URL}{individual.pk}/", "viewer")
    assert_access(team, f"{URL}{individual.pk}/edit/", "annotator")
    foreign = IndividualFactory()
    assert team.client("viewer").get(f"{URL}{foreign.pk}/").status_code == 404


def test_the_details_are_edited_and_the_code_is_not(team):
    individual = IndividualFactory(population=team.population, code="T049")

    answer = team.client("annotator").post(
        f"{URL}{individual.pk}/edit/",
        {"name": "Scar", "sex": "female", "notes": "Notch.", "code": "HACKED"},
    )

    individual.refresh_from_db()
    assert answer.url == f"{URL}{individual.pk}/"
    assert (individual.name, individual.sex) == ("Scar", "female")
    assert individual.code == "T049"


def test_a_wrong_sex_is_refused(team):
    individual = IndividualFactory(population=team.population)

    answer = team.client("annotator").post(
        f"{URL}{individual.pk}/edit/", {"name": "Kept", "sex": "x"}
    )

    assert answer.status_code == 422
    assert 'value="Kept"' in answer.content.decode()
