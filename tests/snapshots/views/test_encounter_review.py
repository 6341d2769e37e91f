from __future__ import annotations

import pytest

from populations.models import Individual, Sighting
from snapshots.models import Identification
from tests.factories.populations import (
    AnnotationFactory,
    EncounterFactory,
    IndividualFactory,
    PhotoFactory,
    SightingFactory,
)
from tests.factories.snapshots import (
    DeploymentFactory,
    OnboardingFactory,
    OnboardingFileFactory,
    SnapshotFactory,
    SuggestionFactory,
    crop_file,
)
from tests.snapshots.conftest import Role

N_QUERIES = 18


@pytest.fixture
def encounter(population):
    return EncounterFactory(population=population, name="Morning", origin="onboarded")


@pytest.fixture
def url(encounter):
    return f"/populations/bay/encounters/{encounter.pk}/review/"


@pytest.fixture
def deployment(model):
    return DeploymentFactory(snapshot=SnapshotFactory(model=model))


def animal(encounter, n_crops=1, **changes) -> Sighting:
    sighting = SightingFactory(
        encounter=encounter, number=encounter.sightings.count() + 1, **changes
    )
    for _ in range(n_crops):
        crop_file(
            AnnotationFactory(
                photo=PhotoFactory(
                    population=encounter.population, encounter=encounter
                ),
                individual=None,
                evidence="none",
                sighting=sighting,
            )
        )
    return sighting


def suggest(sighting, deployment, code, rank, **changes):
    individual = IndividualFactory(population=deployment.population, code=code)
    match = AnnotationFactory(
        photo__population=deployment.population, individual=individual
    )
    crop_file(match)
    return SuggestionFactory(
        sighting=sighting,
        deployment=deployment,
        individual=individual,
        rank=rank,
        best_match=match,
        **changes,
    )


def post(client, sighting, verb, data=None, **extra):
    return client.post(
        f"/populations/bay/sightings/{sighting.pk}/{verb}/", data, **extra
    )


def test_the_first_waiting_animal_and_its_candidates_are_shown(
    client, annotator, encounter, url, deployment
):
    done = IndividualFactory(population=encounter.population, code="D1")
    animal(encounter, status="confirmed", individual=done)
    sighting = animal(encounter, n_crops=2)
    suggest(sighting, deployment, "T001", 1, probability=0.97, similarity=0.91)
    suggest(sighting, deployment, "T002", 2, probability=0.02, similarity=0.4)
    client.force_login(annotator)

    content = client.get(url).content.decode()

    assert "Animal 2" in content
    assert content.index("It is T001") < content.index("It is T002")
    assert "97" in content
    assert "very likely" in content
    assert "0.91" in content
    assert content.count("Not the same") == 2
    assert "<strong>1</strong> of 2 animals named" in content


def test_without_calibration_no_probability_is_shown(
    client, annotator, encounter, url, deployment
):
    suggest(animal(encounter), deployment, "T001", 1, probability=None, similarity=0.9)
    client.force_login(annotator)

    content = client.get(url).content.decode()

    assert "not calibrated" in content
    assert "similarity 0.90" in content


def test_a_likelier_new_individual_is_said_above_those_it_beats(
    client, annotator, encounter, url, deployment
):
    sighting = animal(encounter)
    SuggestionFactory(sighting=sighting, deployment=deployment, rank=1, probability=0.9)
    suggest(sighting, deployment, "T001", 2, probability=0.1)
    client.force_login(annotator)

    content = client.get(url).content.decode()

    assert content.index("more likely than anybody known") < content.index("It is T001")


def test_htmx_gets_the_workspace_only(client, annotator, encounter, url):
    animal(encounter)
    client.force_login(annotator)

    response = client.get(url, headers={"HX-Request": "true", "HX-Target": "review"})

    content = response.content.decode()
    assert "<html" not in content
    assert 'id="review"' in content
    assert response["HX-Push-Url"] == url


def test_accept_goes_on_to_the_next_animal(
    client, annotator, encounter, url, deployment
):
    first, _second = animal(encounter), animal(encounter)
    suggest(first, deployment, "T001", 1)
    client.force_login(annotator)

    response = post(client, first, "accept", {"rank": 1}, follow=True)

    first.refresh_from_db()
    assert first.individual.code == "T001"
    content = response.content.decode()
    assert "Animal 2" in content
    assert "Animal 1 is <strong>T001</strong>" in content
    assert "review-undo-fresh" in content


def test_choose_new_skip_and_undo(client, annotator, encounter, url, deployment):
    sightings = [animal(encounter) for _ in range(3)]
    IndividualFactory(population=encounter.population, code="T500")
    client.force_login(annotator)

    post(client, sightings[0], "choose", {"code": "t500"})
    post(client, sightings[1], "new", {"code": "T501"})
    post(client, sightings[2], "skip")

    assert [
        (s.status, s.individual and s.individual.code)
        for s in encounter.sightings.all()
    ] == [("confirmed", "T500"), ("confirmed", "T501"), ("skipped", None)]
    second = Identification.objects.get(answer="new")
    client.post(f"/populations/bay/identifications/{second.pk}/undo/")
    sightings[1].refresh_from_db()
    assert sightings[1].status == "waiting"
    assert not Individual.objects.filter(code="T501").exists()


def test_a_mistyped_code_offers_the_near_ones(client, annotator, encounter):
    sighting = animal(encounter)
    IndividualFactory(population=encounter.population, code="T049A2")
    client.force_login(annotator)

    response = post(client, sighting, "choose", {"code": "T49A2"}, follow=True)

    content = response.content.decode()
    assert "No individual has the code" in content
    assert '<button class="button button-small" name="code" value="T049A2">' in content
    sighting.refresh_from_db()
    assert sighting.status == "waiting"


def test_a_second_time_on_one_photo_is_refused_with_a_sentence(
    client, annotator, encounter
):
    first, second = animal(encounter), animal(encounter)
    second.annotations.update(photo=first.annotations.get().photo)
    IndividualFactory(population=encounter.population, code="T1")
    client.force_login(annotator)
    post(client, first, "choose", {"code": "T1"})

    content = post(client, second, "choose", {"code": "T1"}, follow=True).content

    assert "cannot be there twice" in content.decode()
    second.refresh_from_db()
    assert second.status == "waiting"


def test_split_and_merge(client, annotator, encounter):
    sighting = animal(encounter, n_crops=2)
    crop = sighting.annotations.first()
    client.force_login(annotator)

    post(client, sighting, "split", {"crop": crop.pk})
    assert encounter.sightings.count() == 2

    post(client, sighting, "merge", {"animal": 2})
    assert encounter.sightings.get().annotations.count() == 2


def test_a_crop_of_another_animal_is_not_found(client, annotator, encounter):
    sighting, other = animal(encounter, n_crops=2), animal(encounter)
    client.force_login(annotator)

    crop = other.annotations.get().pk
    assert post(client, sighting, "split", {"crop": crop}).status_code == 404
    assert post(client, sighting, "accept", {"rank": 9}).status_code == 404
    assert post(client, sighting, "merge", {"animal": 99}).status_code == 404


def test_refused_files_and_their_reasons_are_shown(client, viewer, encounter, url):
    onboarding = OnboardingFactory(encounter=encounter)
    OnboardingFileFactory(
        onboarding=onboarding,
        name="broken.jpg",
        outcome="refused",
        reason="The file ends too early.",
    )
    client.force_login(viewer)

    content = client.get(url).content.decode()

    assert "broken.jpg" in content
    assert "The file ends too early." in content


def test_without_a_deployment_the_page_says_so(client, viewer, encounter, url):
    animal(encounter)
    client.force_login(viewer)

    assert "No model is deployed" in client.get(url).content.decode()


def test_viewers_look_but_do_not_answer(client, viewer, encounter, url, deployment):
    sighting = animal(encounter)
    suggest(sighting, deployment, "T001", 1)
    client.force_login(viewer)

    content = client.get(url).content.decode()

    assert "T001" in content
    assert "It is T001" not in content
    assert "/accept/" in content or "review-accept" not in content


@pytest.mark.parametrize("n", [1, 3])
def test_query_count_does_not_grow(
    client, annotator, encounter, url, deployment, n, django_assert_num_queries
):
    OnboardingFactory(encounter=encounter)
    for _ in range(n):
        sighting = animal(encounter, n_crops=n)
    first = encounter.sightings.first()
    for rank in range(n):
        suggest(first, deployment, f"T{rank}", rank + 1)
    assert sighting
    client.force_login(annotator)

    with django_assert_num_queries(N_QUERIES):
        client.get(url)


def test_access(check_access, url):
    check_access(url, Role.VIEWER)


@pytest.mark.parametrize("verb", ["choose", "new", "skip"])
def test_access_to_answers(check_access, encounter, verb):
    url = f"/populations/bay/sightings/{animal(encounter).pk}/{verb}/"

    check_access(url, Role.ANNOTATOR, method="post")


@pytest.mark.parametrize(
    ("verb", "data"),
    [("accept", {"rank": 1}), ("split", {"crop": 1}), ("merge", {"animal": 2})],
)
@pytest.mark.parametrize("who", ["anonymous", "stranger", "viewer"])
def test_answers_with_an_object_are_refused(
    client, request, encounter, deployment, who, verb, data
):
    sighting = animal(encounter, n_crops=2)
    animal(encounter)
    suggest(sighting, deployment, "T1", 1)
    if verb == "split":
        data = {"crop": sighting.annotations.first().pk}
    if who != "anonymous":
        client.force_login(request.getfixturevalue(who))

    response = post(client, sighting, verb, data)

    expected = {"anonymous": 302, "stranger": 404, "viewer": 403}[who]
    assert response.status_code == expected
    assert encounter.sightings.count() == 2
    assert not encounter.sightings.exclude(status="waiting").exists()


@pytest.mark.parametrize(
    ("who", "status"), [("anonymous", 302), ("stranger", 404), ("viewer", 403)]
)
def test_undo_is_refused(client, request, annotator, encounter, who, status):
    sighting = animal(encounter)
    client.force_login(annotator)
    post(client, sighting, "skip")
    client.logout()
    if who != "anonymous":
        client.force_login(request.getfixturevalue(who))

    answer = Identification.objects.get()
    response = client.post(f"/populations/bay/identifications/{answer.pk}/undo/")

    assert response.status_code == status
    sighting.refresh_from_db()
    assert sighting.status == "skipped"
