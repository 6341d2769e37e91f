from __future__ import annotations

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from populations.models import Detector
from tests.factories.populations import (
    DetectionRunFactory,
    DetectorFactory,
    PopulationFactory,
)
from tests.finwave.ml.onnx_models import colour_detector
from tests.populations.conftest import assert_access

LIST = "/populations/firth/detectors/"
NEW = "/populations/firth/detectors/new/"


def test_list_shows_own_and_bundled_but_no_others(team):
    own = DetectorFactory(population=team.population, card={"measured": {"AP50": 0.5}})
    bundled = DetectorFactory(population=None, card={"licence": "Apache-2.0"})
    other = DetectorFactory(population=PopulationFactory())

    page = team.client("trainer").get(LIST).content.decode()

    assert own.name in page
    assert "AP50" in page
    assert bundled.name in page
    assert "Apache-2.0" in page
    assert other.name not in page


def test_list_shows_refusal(team):
    DetectorFactory(
        population=team.population, status=Detector.Status.REFUSED, refusal="Too odd."
    )

    assert "Too odd." in team.client("viewer").get(LIST).content.decode()


def test_list_empty_offers_upload_to_trainers_only(team):
    assert NEW in team.client("trainer").get(LIST).content.decode()
    assert NEW not in team.client("viewer").get(LIST).content.decode()


def test_list_access(team):
    assert_access(team, LIST, "viewer")


@pytest.mark.parametrize("count", [1, 3])
def test_list_queries(team, count, django_assert_num_queries):
    for _ in range(count):
        DetectorFactory(population=team.population)
    client = team.client("viewer")
    client.get(LIST)

    with django_assert_num_queries(8):
        client.get(LIST)


def test_upload_starts_check_and_goes_to_list(team):
    file = SimpleUploadedFile("my fins.onnx", colour_detector().SerializeToString())

    response = team.client("trainer").post(NEW, {"file": file})

    assert response.url == LIST
    detector = Detector.objects.get()
    assert detector.name == "my fins"
    assert detector.status == Detector.Status.CHECKING
    assert detector.job.kind == "populations.detector-check"
    assert detector.uploaded_by == team.trainer


def test_upload_of_other_file_says_why(team):
    file = SimpleUploadedFile("fins.pt", b"weights")

    response = team.client("trainer").post(NEW, {"file": file})

    assert response.status_code == 422
    assert "fins.pt is not an ONNX file" in response.content.decode()
    assert not Detector.objects.exists()


def test_upload_twice_says_it_is_here(team):
    content = colour_detector().SerializeToString()
    client = team.client("trainer")
    client.post(NEW, {"file": SimpleUploadedFile("a.onnx", content)})

    response = client.post(NEW, {"file": SimpleUploadedFile("b.onnx", content)})

    assert response.status_code == 422
    assert "is here already: a" in response.content.decode()


def test_upload_access(team):
    assert_access(team, NEW, "trainer")


def test_set_default(team):
    detector = DetectorFactory(population=team.population)

    assert_access(
        team,
        f"{LIST}{detector.pk}/default/",
        "trainer",
        method="post",
        allowed=(302,),
    )

    team.population.refresh_from_db()
    assert team.population.default_detector == detector


def test_set_default_of_other_population_is_not_found(team):
    other = DetectorFactory()

    response = team.client("trainer").post(f"{LIST}{other.pk}/default/")

    assert response.status_code == 404


def test_delete_unused(team):
    detector = DetectorFactory(population=team.population)

    assert_access(
        team, f"{LIST}{detector.pk}/delete/", "trainer", method="post", allowed=(302,)
    )

    assert not Detector.objects.exists()


def test_delete_used_says_why_not(team):
    run = DetectionRunFactory(population=team.population)

    response = team.client("trainer").post(
        f"{LIST}{run.detector.pk}/delete/", follow=True
    )

    assert "was used in detection runs" in response.content.decode()
    assert Detector.objects.filter(pk=run.detector.pk).exists()
