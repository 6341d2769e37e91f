from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import BadRequest, PermissionDenied
from django.http import Http404
from django.views import defaults
from django.views.csrf import csrf_failure

from tests.factories.accounts import UserFactory


@pytest.fixture(params=["anonymous", "somebody"])
def visit(request, rf, db):
    made = rf.get("/nowhere/")
    made.user = AnonymousUser() if request.param == "anonymous" else UserFactory()
    return made


def test_not_found_says_what_may_be_wrong(visit):
    response = defaults.page_not_found(visit, Http404())

    assert response.status_code == 404
    assert "There is nothing here" in response.content.decode()


def test_permission_denied_gives_the_reason(visit):
    reason = "This needs the role trainer in Bay; you are viewer."

    response = defaults.permission_denied(visit, PermissionDenied(reason))

    assert response.status_code == 403
    assert reason in response.content.decode()


def test_permission_denied_without_a_reason(visit):
    html = defaults.permission_denied(visit, PermissionDenied()).content.decode()

    assert "You may see this population, but not do this in it." in html


def test_bad_request(visit):
    response = defaults.bad_request(visit, BadRequest())

    assert response.status_code == 400
    assert "cannot be read" in response.content.decode()


def test_server_error_needs_neither_user_nor_database(rf, django_assert_num_queries):
    response = defaults.server_error(rf.get("/"))

    assert response.status_code == 500
    assert "finwave failed here" in response.content.decode()


def test_csrf_failure_says_that_nothing_was_changed(visit):
    response = csrf_failure(visit)

    assert response.status_code == 403
    assert "Nothing was changed" in response.content.decode()


def test_unknown_address_answers_with_the_page(db, client):
    client.force_login(UserFactory())

    response = client.get("/nowhere/")

    assert response.status_code == 404
    assert 'aria-label="Switch population"' in response.content.decode()
