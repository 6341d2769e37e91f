from __future__ import annotations

import pytest

from populations.models import Membership, Population
from tests.factories.accounts import UserFactory
from tests.factories.populations import (
    DetectionFactory,
    EncounterFactory,
    IndividualFactory,
    MembershipFactory,
    PhotoFactory,
)
from tests.populations.conftest import assert_access

Role = Membership.Role
CREATE = {"name": "Seals of the bay", "categories": "face, body", "sides": ["left"]}


def test_list_shows_own_populations_only(team):
    page = team.client("viewer").get("/populations/").content.decode()

    assert "Dolphins of the firth" in page
    assert team.stranger.memberships.get().population.name not in page


def test_list_asks_anonymous_to_sign_in(team):
    assert team.client("anonymous").get("/populations/").status_code == 302


def test_empty_list_offers_to_create_one_or_to_open_the_demo(client, db):
    client.force_login(UserFactory())

    page = client.get("/populations/").content.decode()

    assert "Create a population" in page
    assert 'action="/populations/demo/"' in page


@pytest.mark.parametrize("n", [1, 3])
def test_list_costs_the_same_for_more_populations(
    n, client, db, django_assert_num_queries
):
    user = UserFactory()
    for membership in MembershipFactory.create_batch(n, user=user):
        PhotoFactory.create_batch(2, population=membership.population)
        IndividualFactory(population=membership.population)
        EncounterFactory(population=membership.population)
    client.force_login(user)

    with django_assert_num_queries(5):
        page = client.get("/populations/")

    assert page.content.decode().count('class="card population-card"') == n


def test_create_makes_a_population_with_its_administrator(client, db):
    user = UserFactory()
    client.force_login(user)

    answer = client.post("/populations/new/", CREATE)

    population = Population.objects.get()
    assert answer.url == "/populations/seals-of-the-bay/"
    assert population.categories == ["face", "body"]
    assert population.sides == ["left"]
    assert population.memberships.get().user == user


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": ""}, "required"),
        ({"name": "dolphins of the FIRTH"}, "already a population"),
        ({"categories": " , "}, "required"),
        ({"code_pattern": "T("}, "not a usable pattern"),
        ({"code_pattern": "(a+)+"}, "for ever"),
        ({"sides": ["up"]}, "not one of the available choices"),
    ],
)
def test_create_keeps_what_was_typed_and_says_what_is_wrong(team, change, words):
    answer = team.client("viewer").post("/populations/new/", {**CREATE, **change})

    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert Population.objects.count() == 2


def test_code_check_tries_a_pattern_on_codes(team):
    query = {"code_pattern": r"T\d{3}[A-Z]?", "examples": "T049, T049A 49"}

    page = team.client("viewer").get("/populations/code-check/", query)

    text = page.content.decode()
    assert "<html" not in text
    assert "T049 is accepted" in text
    assert "T049A is accepted" in text
    assert "49 is refused" in text


def test_code_check_says_what_is_wrong_with_the_pattern(team):
    page = team.client("viewer").get("/populations/code-check/?code_pattern=T(")

    assert "not a usable pattern" in page.content.decode()
    assert team.client("anonymous").get("/populations/code-check/").status_code == 302


def settings_of(population: Population, **changes: object) -> dict[str, object]:
    return {
        "name": population.name,
        "categories": "dorsal fin",
        "sides": ["left", "right"],
        "detector_confidence": 0.2,
        "nms_iou": 0.5,
        "prominence_threshold": 0.7,
        "dominance_margin": 0.05,
        "snapshot_lifetime_days": 30,
        **changes,
    }


def test_settings_are_saved(team):
    client = team.client("administrator")

    answer = client.post("/populations/firth/settings/", settings_of(team.population))

    assert answer.status_code == 302
    team.population.refresh_from_db()
    assert team.population.detector_confidence == 0.2


@pytest.mark.parametrize(
    "change",
    [{"detector_confidence": 1.5}, {"snapshot_lifetime_days": 0}, {"nms_iou": "x"}],
)
def test_settings_refuse_what_makes_no_sense(team, change):
    answer = team.client("administrator").post(
        "/populations/firth/settings/",
        settings_of(team.population, name="Another", **change),
    )

    assert answer.status_code == 422
    assert "<title>Settings · Dolphins of the firth" in answer.content.decode()
    team.population.refresh_from_db()
    assert team.population.name == "Dolphins of the firth"


@pytest.mark.parametrize("page", ["settings/", "settings/members/", "settings/delete/"])
def test_settings_are_for_administrators(team, page):
    assert_access(team, f"/populations/firth/{page}", "administrator")


def test_member_is_added_by_name(team):
    newcomer = UserFactory(username="Ana")

    answer = team.client("administrator").post(
        "/populations/firth/settings/members/", {"username": "ana", "role": 3}
    )

    assert answer.status_code == 302
    assert newcomer.memberships.get().role == Role.TRAINER


@pytest.mark.parametrize(
    ("username", "words"), [("nobody", "Nobody signs in as"), (None, "already")]
)
def test_member_who_is_unknown_or_there_already_is_refused(team, username, words):
    answer = team.client("administrator").post(
        "/populations/firth/settings/members/",
        {"username": username or team.viewer.username, "role": 3},
    )

    assert answer.status_code == 422
    assert words in answer.content.decode()


@pytest.mark.parametrize("n", [1, 3])
def test_members_cost_the_same_for_more_of_them(n, team, django_assert_num_queries):
    MembershipFactory.create_batch(n, population=team.population)
    client = team.client("administrator")

    with django_assert_num_queries(7):
        client.get("/populations/firth/settings/members/")


def member_url(team, who: str, end: str = "") -> str:
    membership = Membership.objects.get(user=getattr(team, who))
    return f"/populations/firth/settings/members/{membership.pk}/{end}"


def test_role_is_changed(team):
    url = member_url(team, "viewer")
    assert_access(
        team, url, "administrator", method="post", data={"role": 2}, allowed=(302,)
    )

    assert Membership.objects.get(user=team.viewer).role == Role.ANNOTATOR


def test_member_is_removed(team):
    url = member_url(team, "viewer", "remove/")

    assert team.client("trainer").post(url).status_code == 403
    assert team.client("stranger").post(url).status_code == 404
    assert team.client("anonymous").post(url).status_code == 302
    team.client("administrator").post(url)

    assert not Membership.objects.filter(user=team.viewer).exists()


def test_the_last_administrator_is_told_why_not(team):
    page = team.client("administrator").post(
        member_url(team, "administrator", "remove/"), follow=True
    )

    assert "is the only administrator" in page.content.decode()
    assert Membership.objects.filter(user=team.administrator).exists()


def test_members_of_another_population_are_out_of_reach(team):
    other = team.stranger.memberships.get()

    answer = team.client("administrator").post(
        f"/populations/firth/settings/members/{other.pk}/remove/"
    )

    assert answer.status_code == 404
    assert Membership.objects.filter(pk=other.pk).exists()


def test_delete_says_what_goes_and_asks_for_the_name(team):
    PhotoFactory.create_batch(3, population=team.population)
    client = team.client("administrator")

    page = client.get("/populations/firth/settings/delete/").content.decode()
    refused = client.post("/populations/firth/settings/delete/", {"name": "dolphins"})

    assert '<b class="number">3</b> photographs' in page
    assert refused.status_code == 422
    assert Population.objects.filter(pk=team.population.pk).exists()

    answer = client.post(
        "/populations/firth/settings/delete/", {"name": "Dolphins of the firth"}
    )

    assert answer.url == "/populations/"
    assert not Population.objects.filter(pk=team.population.pk).exists()


def test_demo_is_opened_by_post_only(team):
    client = team.client("viewer")

    assert client.get("/populations/demo/").status_code == 405
    answer = client.post("/populations/demo/")

    demo = Population.objects.get(is_demo=True)
    assert answer.url == f"/populations/{demo.slug}/"
    assert team.client("anonymous").post("/populations/demo/").status_code == 302


def test_another_threshold_sorts_the_photographs_anew(team):
    photo = PhotoFactory(
        population=team.population, n_detections=2, tier=2, tier_reason="dominant"
    )
    top = DetectionFactory(photo=photo, prominence=0.8)
    DetectionFactory(photo=photo, run=top.run, prominence=0.4)
    photo.detection_run = top.run
    photo.save()

    team.client("administrator").post(
        "/populations/firth/settings/",
        settings_of(team.population, prominence_threshold=0.95),
    )

    photo.refresh_from_db()
    assert (photo.tier, photo.tier_reason) == (3, "below-threshold")
