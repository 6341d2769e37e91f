from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client

from finwave.accounts import services
from tests.factories.accounts import UserFactory

FORM = {
    "username": "ana",
    "email": "",
    "password1": "sea-otter-88",
    "password2": "sea-otter-88",
}
# A visitor from another machine, and one whom a proxy brought.
ELSEWHERE = {"REMOTE_ADDR": "192.168.1.20"}
THROUGH_PROXY = {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "203.0.113.9"}


def test_setup_creates_administrator_and_signs_in(db, client):
    response = client.post("/accounts/setup/", FORM)

    assert response.status_code == 302
    assert response.url == "/populations/"
    user = User.objects.get()
    assert (user.username, user.is_superuser, user.is_staff) == ("ana", True, True)
    assert user.check_password("sea-otter-88")
    assert client.session["_auth_user_id"] == str(user.pk)


@pytest.mark.parametrize(
    "path", ["/", "/populations/", "/admin/", "/accounts/sign-in/"]
)
def test_every_page_leads_to_setup_until_somebody_exists(db, path):
    response = Client().get(path)

    assert response.status_code == 302
    assert response.url == "/accounts/setup/"


def test_setup_asks_no_code_on_this_machine(db, client):
    html = client.get("/accounts/setup/").content.decode()

    assert 'name="code"' not in html


@pytest.mark.parametrize("visitor", [ELSEWHERE, THROUGH_PROXY])
def test_setup_asks_others_for_the_code(db, client, visitor):
    response = client.post("/accounts/setup/", FORM, **visitor)

    assert response.status_code == 422
    assert 'name="code"' in response.content.decode()
    assert not User.objects.exists()


@pytest.mark.parametrize("visitor", [ELSEWHERE, THROUGH_PROXY])
def test_setup_refuses_a_wrong_code(db, client, visitor):
    services.setup_code()

    response = client.post("/accounts/setup/", {**FORM, "code": "0000"}, **visitor)

    assert response.status_code == 422
    assert "not the code" in response.content.decode()
    assert not User.objects.exists()


def test_setup_takes_the_right_code_from_elsewhere(db, client):
    code = services.setup_code()

    client.post("/accounts/setup/", {**FORM, "code": f" {code.upper()} "}, **ELSEWHERE)

    assert User.objects.get().is_superuser
    assert not services.setup_code_file().exists()


def test_setup_refuses_more_guesses_than_allowed(db, client):
    code = services.setup_code()
    for _ in range(services.MAX_GUESSES):
        client.post("/accounts/setup/", {**FORM, "code": "wrong"}, **ELSEWHERE)

    response = client.post("/accounts/setup/", {**FORM, "code": code}, **ELSEWHERE)

    assert response.status_code == 422
    assert "Too many codes" in response.content.decode()
    assert not User.objects.exists()


def test_setup_refuses_a_weak_password(db, client):
    response = client.post(
        "/accounts/setup/", {**FORM, "password1": "12345", "password2": "12345"}
    )

    assert response.status_code == 422
    assert not User.objects.exists()


@pytest.mark.parametrize("method", ["get", "post"])
def test_setup_is_closed_after_the_first(db, client, method):
    UserFactory()

    response = getattr(client, method)("/accounts/setup/", FORM)

    assert response.status_code == 302
    assert response.url == "/accounts/sign-in/"
    assert User.objects.count() == 1
