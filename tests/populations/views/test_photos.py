from __future__ import annotations

import pytest

from tests.factories.populations import (
    AnnotationFactory,
    DetectionFactory,
    EncounterFactory,
    IndividualFactory,
    PhotoFactory,
    PhotoLabelFactory,
)
from tests.populations.conftest import assert_access

URL = "/populations/firth/photos/"


@pytest.fixture
def photos(team):
    """One photo of each kind, by name."""
    encounter = EncounterFactory(population=team.population, name="Morning bout")
    tiered = {
        "one": PhotoFactory(tier=1, tier_reason="single", population=team.population),
        "three": PhotoFactory(
            tier=3,
            tier_reason="not-dominant",
            population=team.population,
            encounter=encounter,
        ),
        "unseen": PhotoFactory(population=team.population),
    }
    PhotoLabelFactory(photo=tiered["one"], individual__code="T049")
    PhotoLabelFactory(photo=tiered["three"], individual__code="T050")
    PhotoFactory()  # of another population
    return tiered


def shown(page: str, photos) -> set[str]:
    return {
        name for name, photo in photos.items() if f"{URL}{photo.pk}/file/thumb/" in page
    }


def test_the_grid_shows_all_photos_of_the_population(team, photos):
    page = team.client("viewer").get(URL).content.decode()

    assert shown(page, photos) == {"one", "three", "unseen"}
    assert page.count("/file/thumb/") == 3


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("tier=1", {"one"}),
        ("tier=none", {"unseen"}),
        ("reason=not-dominant", {"three"}),
        ("unlabelled=on", {"unseen"}),
        ("tier=3&reason=single", set()),
        ("tier=nonsense", {"one", "three", "unseen"}),
        ("individual=999999", {"one", "three", "unseen"}),
    ],
)
def test_the_grid_is_filtered(team, photos, query, expected):
    page = team.client("viewer").get(f"{URL}?{query}").content.decode()

    assert shown(page, photos) == expected


def test_the_grid_is_filtered_by_individual_encounter_and_name(team, photos):
    client = team.client("viewer")
    individual = photos["one"].labels.get().individual

    def found(query: str) -> set[str]:
        return shown(client.get(f"{URL}?{query}").content.decode(), photos)

    assert found(f"individual={individual.pk}") == {"one"}
    assert found(f"encounter={photos['three'].encounter_id}") == {"three"}
    assert found(f"q={photos['unseen'].original_name}") == {"unseen"}


def test_filters_read_as_chips_that_can_be_dropped(team, photos):
    page = team.client("viewer").get(f"{URL}?tier=3&unlabelled=on").content.decode()

    assert 'href="?unlabelled=on"' in page
    assert 'href="?tier=3"' in page


def test_individuals_of_other_populations_are_not_offered(team, photos):
    other = IndividualFactory(code="SECRET")

    page = team.client("viewer").get(f"{URL}?individual={other.pk}").content.decode()

    assert "SECRET" not in page


def test_more_photos_come_as_a_fragment(team):
    PhotoFactory.create_batch(61, population=team.population)
    client = team.client("viewer")

    full = client.get(URL).content.decode()
    more = client.get(
        f"{URL}?page=2", headers={"HX-Request": "true", "HX-Trigger": "photo-more"}
    ).content.decode()

    assert full.count('class="photo-tile"') == 60
    assert 'hx-get="?page=2"' in full
    assert "<html" not in more
    assert more.count('class="photo-tile"') == 1
    assert "photo-more" not in more


def test_empty_grid_says_why_and_what_next(team):
    assert "Bring in a folder" in team.client("trainer").get(URL).content.decode()
    assert "A trainer of this" in team.client("viewer").get(URL).content.decode()
    filtered = team.client("viewer").get(f"{URL}?tier=1").content.decode()
    assert "No photograph fits" in filtered


@pytest.mark.parametrize("n", [1, 3])
def test_the_grid_costs_the_same_for_more_photos(n, team, django_assert_num_queries):
    for photo in PhotoFactory.create_batch(n, population=team.population):
        PhotoLabelFactory.create_batch(2, photo=photo)
    client = team.client("viewer")

    with django_assert_num_queries(12):
        client.get(URL)


def test_the_photo_page_shows_detections_labels_and_facts(team, photos):
    photo = photos["three"]
    photo.camera = "Canon EOS R5"
    detection = DetectionFactory(photo=photo, confidence=0.87)
    photo.detection_run = detection.run
    photo.save()
    AnnotationFactory(photo=photo, detection=detection)

    page = team.client("viewer").get(f"{URL}{photo.pk}/").content.decode()

    for words in ("T050", "Morning bout", "Canon EOS R5", "0.870", "not-dominant"):
        assert words in page or words == "not-dominant"
    assert "Several detections and none clearly dominant" in page
    assert f"{URL}{photo.pk}/file/view/" in page


def test_neighbours_stay_within_the_filter(team, photos):
    other = PhotoFactory(tier=1, tier_reason="single", population=team.population)

    page = team.client("viewer").get(f"{URL}{photos['one'].pk}/?tier=1")

    text = page.content.decode()
    assert f'href="{URL}{other.pk}/?tier=1"' in text
    assert f"{URL}{photos['three'].pk}/" not in text
    assert 'data-key="ArrowRight j"' not in text


def test_photo_pages_access(team, photos):
    assert_access(team, URL, "viewer")
    assert_access(team, f"{URL}{photos['one'].pk}/", "viewer")
    foreign = PhotoFactory()
    assert team.client("viewer").get(f"{URL}{foreign.pk}/").status_code == 404
