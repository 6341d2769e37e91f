from __future__ import annotations

import pytest
from django.conf import settings

from tests.factories.accounts import UserFactory

PATH = "/accounts/sign-in/"


@pytest.fixture
def ana(db):
    user = UserFactory(username="ana")
    user.set_password("sea-otter-88")
    user.save()
    return user


def sign_in(client, password, username="ana"):
    return client.post(PATH, {"username": username, "password": password})


def test_sign_in_leads_to_the_populations(ana, client):
    response = sign_in(client, "sea-otter-88")

    assert response.status_code == 302
    assert response.url == "/populations/"
    assert client.session["_auth_user_id"] == str(ana.pk)


def test_sign_in_says_the_same_for_a_wrong_name_and_a_wrong_password(ana, client):
    wrong_password = sign_in(client, "nonsense").context["form"].non_field_errors()
    wrong_name = sign_in(client, "x", "nobody").context["form"].non_field_errors()

    assert list(wrong_password) == list(wrong_name) != []


def test_sign_in_is_switched_off_after_too_many_attempts(ana, client):
    for _ in range(settings.AXES_FAILURE_LIMIT):
        sign_in(client, "nonsense")

    response = sign_in(client, "sea-otter-88")

    assert response.status_code == 429
    assert "Too many attempts" in response.content.decode()
    assert "_auth_user_id" not in client.session


def test_sign_in_of_others_goes_on_when_one_is_switched_off(ana, client):
    for _ in range(settings.AXES_FAILURE_LIMIT):
        sign_in(client, "nonsense", "someone")

    assert sign_in(client, "sea-otter-88").status_code == 302


def test_sign_in_does_not_lead_to_other_sites(ana, client):
    response = client.post(
        f"{PATH}?next=https://example.org/",
        {
            "username": "ana",
            "password": "sea-otter-88",
            "next": "https://example.org/",
        },
    )

    assert response.url == "/populations/"


def test_sign_out_ends_the_session(ana, client):
    client.force_login(ana)

    response = client.post("/accounts/sign-out/")

    assert response.url == PATH
    assert "_auth_user_id" not in client.session


def test_sign_out_needs_post(ana, client):
    client.force_login(ana)

    assert client.get("/accounts/sign-out/").status_code == 405
