from __future__ import annotations

from django.contrib.auth.models import AnonymousUser

from populations.context_processors import navigation
from tests.factories.accounts import UserFactory
from tests.factories.populations import MembershipFactory, PopulationFactory


def test_navigation_lists_only_the_populations_of_the_user(
    rf, db, django_assert_num_queries
):
    membership = MembershipFactory()
    PopulationFactory()
    request = rf.get("/")
    request.user = membership.user

    with django_assert_num_queries(1):
        names = [one.name for one in navigation(request)["nav_populations"]]

    assert names == [membership.population.name]


def test_navigation_costs_nothing_where_no_rail_is_drawn(
    rf, db, django_assert_num_queries
):
    request = rf.get("/")
    request.user = UserFactory()

    with django_assert_num_queries(0):
        navigation(request)


def test_navigation_of_a_visitor_is_empty(rf, db, django_assert_num_queries):
    request = rf.get("/")
    request.user = AnonymousUser()

    with django_assert_num_queries(0):
        assert list(navigation(request)["nav_populations"]) == []
