from __future__ import annotations

import io

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from populations.models import Encounter
from snapshots.models import Onboarding
from snapshots.services import onboarding
from tests.factories.populations import EncounterFactory
from tests.snapshots.conftest import LEFT, PLAIN, Role, picture

URL = "/populations/bay/encounters/new/"


def photo(name="a.png", seed=0):
    buffer = io.BytesIO()
    picture((LEFT, PLAIN), seed=seed).save(buffer, "PNG")
    return SimpleUploadedFile(name, buffer.getvalue(), "image/png")


def test_upload_makes_an_encounter_and_starts_its_job(client, annotator, population):
    client.force_login(annotator)

    response = client.post(
        URL,
        {
            "place": "Kvalvika",
            "date_on": "2026-05-01",
            "photographer": "Ada",
            "photos": [photo("a.png"), photo("b.png", 1)],
        },
    )

    encounter = Encounter.objects.get()
    assert response.url == f"/populations/bay/encounters/{encounter.pk}/review/"
    assert encounter.name == "2026-05-01 Kvalvika"
    assert encounter.origin == "onboarded"
    files = encounter.onboarding.files.all()
    assert [file.name for file in files] == ["a.png", "b.png"]
    staged = onboarding.staging_folder(encounter.pk)
    assert all((staged / file.path).is_file() for file in files)
    assert encounter.onboarding.job.status == "queued"


def test_file_names_cannot_leave_the_staging_folder(client, annotator, population):
    client.force_login(annotator)

    client.post(URL, {"photos": [photo("../../../evil.png")]})

    assert Onboarding.objects.get().files.get().path == "00001.png"


def test_without_photos_nothing_is_made(client, annotator, population):
    client.force_login(annotator)

    response = client.post(URL, {"place": "Kvalvika"})

    assert response.status_code == 422
    assert "Choose at least one photograph" in response.content.decode()
    assert "Kvalvika" in response.content.decode()
    assert not Encounter.objects.exists()


def test_a_name_in_use_is_refused_and_a_made_one_numbered(
    client, annotator, population
):
    EncounterFactory(population=population, name="Encounter")
    client.force_login(annotator)

    refused = client.post(URL, {"name": "Encounter", "photos": [photo()]})
    client.post(URL, {"photos": [photo()]})

    assert refused.status_code == 422
    names = set(Encounter.objects.values_list("name", flat=True))
    assert names == {"Encounter", "Encounter (2)"}


def test_without_a_deployment_the_page_says_what_happens(client, annotator, population):
    client.force_login(annotator)

    assert "No model is deployed" in client.get(URL).content.decode()


def test_a_demo_offers_its_rendered_encounters(client, annotator, population):
    from populations.services import demo

    population.is_demo = True
    population.save()
    folder = demo.encounters_folder(population) / "2025-08-03"
    folder.mkdir(parents=True)
    picture((LEFT, PLAIN)).convert("RGB").save(folder / "IMG_1.jpg")
    client.force_login(annotator)
    assert "2025-08-03, 1 photo" in client.get(URL).content.decode()

    client.post(URL, {"rendered": "2025-08-03"})

    encounter = Encounter.objects.get()
    assert encounter.name == "2025-08-03"
    assert str(encounter.date_on) == "2025-08-03"
    assert encounter.onboarding.files.get().name == "IMG_1.jpg"
    # It is not offered twice.
    assert "2025-08-03, 1 photo" not in client.get(URL).content.decode()


def test_access(check_access):
    check_access(URL, Role.ANNOTATOR)


@pytest.mark.parametrize("n_jobs", [1])
def test_identify_again(client, annotator, population, check_access, n_jobs):
    encounter = EncounterFactory(population=population)
    url = f"/populations/bay/encounters/{encounter.pk}/identify/"

    check_access(url, Role.ANNOTATOR, method="post")

    # The second person's request found the first one's job.
    assert encounter.onboarding.job.kind == "snapshots.onboarding"
    assert Onboarding.objects.count() == n_jobs
