from __future__ import annotations

import re

import pytest

from tests.factories.accounts import UserFactory


@pytest.fixture
def ana(db):
    user = UserFactory(username="ana", email="ana@example.org")
    user.set_password("sea-otter-88")
    user.save()
    return user


def test_password_change_needs_the_old_one(ana, client):
    client.force_login(ana)
    form = {"new_password1": "grey-seal-77", "new_password2": "grey-seal-77"}

    client.post("/accounts/password/", {**form, "old_password": "nonsense"})
    ana.refresh_from_db()
    assert ana.check_password("sea-otter-88")

    client.post("/accounts/password/", {**form, "old_password": "sea-otter-88"})
    ana.refresh_from_db()
    assert ana.check_password("grey-seal-77")
    assert client.session["_auth_user_id"] == str(ana.pk)


@pytest.mark.parametrize("path", ["/accounts/password/", "/accounts/password/changed/"])
def test_password_change_is_for_people_signed_in(ana, client, path):
    response = client.get(path)

    assert response.status_code == 302
    assert response.url == f"/accounts/sign-in/?next={path}"


def test_password_changed_says_so(ana, client):
    client.force_login(ana)

    response = client.get("/accounts/password/changed/")

    assert "Your password is changed" in response.content.decode()


def test_password_reset_by_mail(ana, client, mailoutbox):
    client.post("/accounts/password/reset/", {"email": "ana@example.org"})
    link = re.search(r"http://testserver(\S+)", mailoutbox[0].body)[1]

    page = client.get(link, follow=True)
    action = page.redirect_chain[-1][0]
    client.post(
        action, {"new_password1": "grey-seal-77", "new_password2": "grey-seal-77"}
    )

    ana.refresh_from_db()
    assert ana.check_password("grey-seal-77")
    assert "This link is used up" in client.get(link).content.decode()


def test_password_reset_does_not_tell_who_has_an_account(ana, client, mailoutbox):
    known = client.post("/accounts/password/reset/", {"email": "ana@example.org"})
    unknown = client.post("/accounts/password/reset/", {"email": "b@example.org"})

    assert known.url == unknown.url == "/accounts/password/reset/sent/"
    assert len(mailoutbox) == 1


@pytest.mark.parametrize(
    "path", ["/accounts/password/reset/", "/accounts/password/reset/sent/"]
)
def test_password_reset_pages_say_what_to_do_without_mail(ana, client, path):
    assert "administrator" in client.get(path).content.decode()
