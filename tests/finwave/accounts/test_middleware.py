from __future__ import annotations

from django.http import HttpResponse

from finwave.accounts.middleware import FirstAdministratorMiddleware
from tests.factories.accounts import UserFactory


def answer(request):
    return HttpResponse("page")


def test_middleware_costs_no_query_once_somebody_exists(
    db, rf, django_assert_num_queries
):
    UserFactory()
    middleware = FirstAdministratorMiddleware(answer)

    with django_assert_num_queries(1):
        middleware(rf.get("/populations/"))
    with django_assert_num_queries(0):
        response = middleware(rf.get("/populations/"))

    assert response.content == b"page"


def test_middleware_notices_the_first_administrator(db, rf):
    middleware = FirstAdministratorMiddleware(answer)

    before = middleware(rf.get("/populations/"))
    UserFactory()
    after = middleware(rf.get("/populations/"))

    assert (before.status_code, after.status_code) == (302, 200)


def test_middleware_lets_static_files_through(db, rf):
    response = FirstAdministratorMiddleware(answer)(rf.get("/static/css/base.css"))

    assert response.content == b"page"
