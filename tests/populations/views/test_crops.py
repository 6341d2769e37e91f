from __future__ import annotations

import re

import pytest

from populations.models import Annotation, Encounter, Individual
from tests.factories.populations import (
    AnnotationFactory,
    EncounterFactory,
    IndividualFactory,
    PhotoFactory,
)
from tests.populations.conftest import assert_access
from tests.populations.pictures import CENTRE, OTHER_CENTRE, add_detector, add_photo
from tests.populations.services.test_detection import detect

LIST = "/populations/firth/training-data/"


@pytest.fixture
def one(team):
    return IndividualFactory(population=team.population, code="T1")


@pytest.fixture
def crop(team, one):
    """A crop that a detection run cut."""
    photo = add_photo(team.population, CENTRE, individuals=(one,))
    detect(team.population, add_detector(team.population))
    return photo.annotations.get()


def path_of(crop, verb):
    return f"/populations/firth/annotations/{crop.pk}/{verb}/"


def order_of(page):
    return [int(pk) for pk in re.findall(r'id="crop-(\d+)"', page)]


def test_list_thin_individuals_first_and_no_others(team, one):
    photo = PhotoFactory(population=team.population, tier=1, tier_reason="single")
    many = [AnnotationFactory(photo=photo, individual=one) for _ in range(2)]
    thin = AnnotationFactory(photo=photo)
    AnnotationFactory(photo=photo, is_dropped=True)
    AnnotationFactory()

    page = team.client("viewer").get(LIST).content.decode()

    assert order_of(page) == [thin.pk, many[1].pk, many[0].pk]


def test_list_hides_crops_under_identification(team):
    encounter = EncounterFactory(
        population=team.population, origin=Encounter.Origin.ONBOARDED
    )
    photo = PhotoFactory(population=team.population, encounter=encounter)
    AnnotationFactory(photo=photo, individual=None, evidence="none")
    confirmed = AnnotationFactory(photo=photo, evidence="confirmed")

    page = team.client("viewer").get(LIST).content.decode()

    assert order_of(page) == [confirmed.pk]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("?tier=2", ["b"]),
        ("?side=left", ["a"]),
        ("?state=dropped", ["c"]),
        ("?state=all&order=new", ["c", "b", "a"]),
        ("?order=blurred", ["b", "a"]),
        ("?tier=nonsense&side=x", ["a", "b"]),
    ],
)
def test_list_filters(team, one, query, found):
    first, second = (
        PhotoFactory(population=team.population, tier=tier, tier_reason="single")
        for tier in (1, 2)
    )
    crops = {
        "a": AnnotationFactory(photo=first, individual=one, side="left", sharpness=9),
        "b": AnnotationFactory(photo=second, sharpness=3),
        "c": AnnotationFactory(photo=first, individual=one, is_dropped=True),
    }

    page = team.client("viewer").get(LIST + query).content.decode()

    expected = [crops[name].pk for name in found]
    if "nonsense" in query:
        assert sorted(order_of(page)) == expected
    else:
        assert order_of(page) == expected


def test_list_of_one_individual(team, one):
    photo = PhotoFactory(population=team.population)
    mine = AnnotationFactory(photo=photo, individual=one)
    AnnotationFactory(photo=photo)

    page = team.client("viewer").get(f"{LIST}?individual={one.pk}").content.decode()

    assert order_of(page) == [mine.pk]


def test_list_access(team):
    assert_access(team, LIST, "viewer")


@pytest.mark.parametrize("count", [1, 3])
def test_list_queries(team, count, django_assert_num_queries):
    for _ in range(count):
        AnnotationFactory(photo=PhotoFactory(population=team.population))
    client = team.client("annotator")
    client.get(LIST)

    with django_assert_num_queries(10):
        client.get(LIST)


def test_crop_is_served_to_members_only(team, crop):
    assert_access(team, path_of(crop, "crop"), "viewer")

    response = team.client("viewer").get(path_of(crop, "crop"))
    assert response["Content-Type"] == "image/jpeg"
    assert response.content[:2] == b"\xff\xd8"


def test_crop_without_file_is_not_found(team):
    crop = AnnotationFactory(photo=PhotoFactory(population=team.population))

    assert team.client("viewer").get(path_of(crop, "crop")).status_code == 404


def test_crop_of_other_population_is_not_found(team):
    other = AnnotationFactory()

    for verb in ("crop", "drop", "restore", "relabel"):
        response = team.client("administrator").post(path_of(other, verb))
        assert response.status_code in (404, 405)
    other.refresh_from_db()
    assert not other.is_dropped


def test_drop_offers_undo_that_works(team, crop):
    client = team.client("annotator")

    page = client.post(path_of(crop, "drop"), {"next": LIST}, follow=True)

    crop.refresh_from_db()
    assert crop.is_dropped
    assert crop.decided_by == team.annotator
    text = page.content.decode()
    assert "The crop was dropped." in text
    before = re.search(r'name="before" value="([^"]+)"', text).group(1)

    client.post("/populations/firth/annotations/undo/", {"before": before})

    crop.refresh_from_db()
    assert not crop.is_dropped
    assert crop.decided_at is None


def test_undo_with_forged_state_changes_nothing(team, crop):
    page = team.client("annotator").post(
        "/populations/firth/annotations/undo/",
        {"before": '{"annotation": 1}'},
        follow=True,
    )

    assert "can no longer be undone" in page.content.decode()


def test_drop_does_not_lead_off_the_site(team, crop):
    response = team.client("annotator").post(
        path_of(crop, "drop"), {"next": "https://evil.example/"}
    )

    assert response.url == f"/populations/firth/photos/{crop.photo_id}/"


@pytest.mark.parametrize("verb", ["drop", "restore"])
def test_drop_and_restore_access(team, crop, verb):
    assert_access(team, path_of(crop, verb), "annotator", method="post", allowed=(302,))


def test_relabel(team, crop):
    two = IndividualFactory(population=team.population, code="T2")

    response = team.client("annotator").post(
        path_of(crop, "relabel"), {"code": "t2", "side": "right", "next": LIST}
    )

    assert response.url == LIST
    crop.refresh_from_db()
    assert (crop.individual, crop.side) == (two, "right")


def test_relabel_unknown_code_suggests_near_ones(team, crop):
    IndividualFactory(population=team.population, code="T049A2")
    IndividualFactory(code="T049A3")

    response = team.client("annotator").post(
        path_of(crop, "relabel"), {"code": "T049A"}
    )

    assert response.status_code == 422
    page = response.content.decode()
    assert "Did you mean T049A2?" in page
    assert "T049A3" not in page
    crop.refresh_from_db()
    assert crop.individual.code == "T1"


def test_relabel_new_individual_must_fit_pattern(team, crop):
    team.population.code_pattern = r"T\d+"
    team.population.save()
    client = team.client("annotator")

    refused = client.post(path_of(crop, "relabel"), {"code": "Bob", "is_new": "on"})
    client.post(path_of(crop, "relabel"), {"code": "T77", "is_new": "on"})

    assert "Bob does not fit" in refused.content.decode()
    assert not Individual.objects.filter(code="Bob").exists()
    crop.refresh_from_db()
    assert crop.individual.code == "T77"


def test_relabel_access(team, crop):
    assert_access(team, path_of(crop, "relabel"), "annotator")


def test_rescue_from_photo_page(team, one):
    photo = add_photo(team.population, CENTRE, OTHER_CENTRE, individuals=(one,))
    detect(team.population, add_detector(team.population))
    box = photo.detections.order_by("x1")[1]
    client = team.client("annotator")
    page = client.get(f"/populations/firth/photos/{photo.pk}/").content.decode()
    assert f'name="detection" value="{box.pk}"' in page

    response = client.post(
        f"/populations/firth/photos/{photo.pk}/rescue/", {"detection": box.pk}
    )

    assert response.url == f"/populations/firth/photos/{photo.pk}/"
    assert photo.annotations.get().detection == box


def test_rescue_several_labels_says_what_to_do(team, one):
    two = IndividualFactory(population=team.population, code="T2")
    photo = add_photo(team.population, CENTRE, individuals=(one, two))
    detect(team.population, add_detector(team.population))
    url = f"/populations/firth/photos/{photo.pk}/rescue/"
    box = photo.detections.get()
    client = team.client("annotator")

    page = client.post(url, {"detection": box.pk}, follow=True).content.decode()
    assert "choose which of them" in page
    client.post(url, {"detection": box.pk, "individual": two.pk})

    assert photo.annotations.get().individual == two


def test_rescue_box_of_other_photo_is_not_found(team, one):
    photo = add_photo(team.population, CENTRE)
    other = add_photo(team.population, CENTRE)
    detect(team.population, add_detector(team.population))

    response = team.client("annotator").post(
        f"/populations/firth/photos/{photo.pk}/rescue/",
        {"detection": other.detections.get().pk},
    )

    assert response.status_code == 404


def test_rescue_access(team, one):
    photo = add_photo(team.population, CENTRE)
    detect(team.population, add_detector(team.population))

    assert_access(
        team,
        f"/populations/firth/photos/{photo.pk}/rescue/",
        "annotator",
        method="post",
        data={"detection": photo.detections.get().pk},
        allowed=(302,),
    )


def test_undo_access(team):
    assert_access(
        team,
        "/populations/firth/annotations/undo/",
        "annotator",
        method="post",
        allowed=(302,),
    )
    assert not Annotation.objects.exists()
