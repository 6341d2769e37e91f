"""Every address there is: strangers find nothing, whoever is not signed in signs in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.converters import IntConverter

from tests.factories.accounts import UserFactory
from tests.factories.populations import PopulationFactory

# For everybody who has an account: they show only what is the person's own.
OWN = {
    "populations:population-list",
    "populations:population-create",
    "populations:demo-create",
    "populations:code-check",
    "jobs:job-list",
    "accounts:password-change",
    "accounts:password-changed",
    "accounts:logout",
}
# For everybody: how one signs in.
OPEN_PREFIXES = ("accounts/sign-in/", "accounts/setup/", "accounts/password/reset/")


def addresses(
    patterns: list[URLPattern | URLResolver], path: str = "", app: str = ""
) -> Iterator[tuple[str, str]]:
    """Return (name, path) of every view, its arguments filled in with what exists not."""
    for pattern in patterns:
        route = str(pattern.pattern)
        for name, converter in pattern.pattern.converters.items():
            value = "999999" if isinstance(converter, IntConverter) else "bay"
            for kind in ("int", "slug", "str"):
                route = route.replace(f"<{kind}:{name}>", value)
        if isinstance(pattern, URLResolver):
            if pattern.app_name != "admin":
                yield from addresses(
                    pattern.url_patterns, path + route, pattern.app_name or app
                )
        else:
            yield f"{app}:{pattern.name}", path + route


ADDRESSES = sorted(
    (name, path)
    for name, path in addresses(get_resolver().url_patterns)
    if path and not path.startswith(OPEN_PREFIXES)
)
OF_A_POPULATION = [(name, path) for name, path in ADDRESSES if name not in OWN]


def test_there_is_something_to_test():
    assert len(OF_A_POPULATION) > 60


@pytest.mark.parametrize(("name", "path"), ADDRESSES)
@pytest.mark.parametrize("method", ["get", "post"])
def test_whoever_is_not_signed_in_signs_in(client, db, name, path, method):
    UserFactory()
    PopulationFactory(slug="bay")

    response = getattr(client, method)(f"/{path}")

    assert response.status_code in (302, 405), name
    if response.status_code == 302:
        assert response.url.startswith("/accounts/sign-in/"), name


@pytest.mark.parametrize(("name", "path"), OF_A_POPULATION)
@pytest.mark.parametrize("method", ["get", "post"])
def test_stranger_finds_nothing(client, db, name, path, method):
    PopulationFactory(slug="bay")
    client.force_login(UserFactory())

    response = getattr(client, method)(f"/{path}")

    assert response.status_code in (404, 405), name
