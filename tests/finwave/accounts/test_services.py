from __future__ import annotations

import stat
import threading

import pytest
from django.contrib.auth.models import User
from django.db import connection

from finwave.accounts import services
from finwave.accounts.exceptions import SetupClosed, WrongSetupCode
from tests.factories.accounts import UserFactory


def test_setup_code_stays_the_same_and_is_private(db):
    code = services.setup_code()

    assert services.setup_code() == code
    assert stat.S_IMODE(services.setup_code_file().stat().st_mode) == 0o600


def test_setup_code_is_gone_once_somebody_exists(db):
    services.setup_code()
    UserFactory()

    assert services.setup_code() is None
    assert not services.setup_code_file().exists()


@pytest.mark.parametrize(
    ("meta", "is_local"),
    [
        ({"REMOTE_ADDR": "127.0.0.1"}, True),
        ({"REMOTE_ADDR": "127.8.9.1"}, True),
        ({"REMOTE_ADDR": "::1"}, True),
        ({"REMOTE_ADDR": "192.168.1.20"}, False),
        ({"REMOTE_ADDR": ""}, False),
        ({}, False),
        ({"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "127.0.0.1"}, False),
        ({"REMOTE_ADDR": "127.0.0.1", "HTTP_FORWARDED": "for=127.0.0.1"}, False),
        ({"REMOTE_ADDR": "127.0.0.1", "HTTP_X_REAL_IP": "127.0.0.1"}, False),
        ({"REMOTE_ADDR": "127.0.0.1", "HTTP_VIA": "1.1 proxy"}, False),
    ],
)
def test_comes_from_this_machine(meta, is_local):
    assert services.comes_from_this_machine(meta) is is_local


def test_create_first_administrator_refuses_a_second(db):
    UserFactory()

    with pytest.raises(SetupClosed):
        services.create_first_administrator(
            username="late", email="", password="sea-otter-88", code=None
        )

    assert not User.objects.filter(username="late").exists()


def test_create_first_administrator_refuses_an_empty_code(db):
    with pytest.raises(WrongSetupCode):
        services.create_first_administrator(
            username="ana", email="", password="sea-otter-88", code=""
        )


@pytest.mark.django_db(transaction=True)
def test_of_visitors_at_the_same_instant_one_becomes_administrator():
    n_visitors = 6
    barrier = threading.Barrier(n_visitors)
    outcomes: list[str] = []

    def visit(number: int) -> None:
        barrier.wait()
        try:
            services.create_first_administrator(
                username=f"visitor{number}", email="", password="sea-otter", code=None
            )
            outcomes.append("created")
        except SetupClosed:
            outcomes.append("closed")
        finally:
            connection.close()

    threads = [threading.Thread(target=visit, args=(n,)) for n in range(n_visitors)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == ["closed"] * (n_visitors - 1) + ["created"]
    assert User.objects.count() == 1
