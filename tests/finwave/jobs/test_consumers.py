from __future__ import annotations

import asyncio
import itertools
import json
import threading
import time

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.db import connection
from django.test import Client

from finwave.asgi import application
from finwave.jobs import consumers, services
from finwave.jobs import hub as hub_module
from finwave.jobs.hub import hub
from finwave.jobs.models import Job
from tests.factories.jobs import EventFactory, JobFactory

pytestmark = pytest.mark.django_db(transaction=True)

PATIENCE_S = 20


@pytest.fixture(autouse=True)
def hub_at_rest():
    """No thread of the hub outlives a test."""
    yield
    until = time.monotonic() + PATIENCE_S
    while not hub.is_at_rest() and time.monotonic() < until:
        time.sleep(0.02)
    assert hub.is_at_rest()


@pytest.fixture
def job():
    return JobFactory(running=True)


def cookie_of(user):
    client = Client()
    client.force_login(user)
    return client.cookies[settings.SESSION_COOKIE_NAME].value


def socket_of(job_id, cookie="", after=0, origin="http://localhost"):
    headers = [(b"origin", origin.encode()), (b"host", b"localhost")]
    if cookie:
        name = settings.SESSION_COOKIE_NAME
        headers.append((b"cookie", f"{name}={cookie}".encode()))
    return WebsocketCommunicator(
        application, f"/ws/jobs/{job_id}/?after={after}", headers=headers
    )


async def opened(*args, **kwargs):
    socket = socket_of(*args, **kwargs)
    accepted, _ = await socket.connect(timeout=PATIENCE_S)
    assert accepted
    return socket


async def received(socket):
    return json.loads(await socket.receive_from(timeout=PATIENCE_S))


async def closed_with(socket):
    answer = await socket.receive_output(timeout=PATIENCE_S)
    assert answer["type"] == "websocket.close", answer
    await socket.disconnect()
    return answer["code"]


append = sync_to_async(services.append_event)


async def test_anonymous_is_refused(job):
    socket = await opened(job.pk)

    assert await closed_with(socket) == 4403


async def test_ended_session_is_refused(job, viewer):
    cookie = await sync_to_async(cookie_of)(viewer)
    socket = await opened(job.pk, cookie + "x")

    assert await closed_with(socket) == 4403


async def test_stranger_is_refused_like_a_job_that_is_not_there(job, stranger):
    await sync_to_async(EventFactory)(job=job, seq=1)
    cookie = await sync_to_async(cookie_of)(stranger)

    assert await closed_with(await opened(job.pk, cookie)) == 4404
    assert await closed_with(await opened(job.pk + 1, cookie)) == 4404


async def test_other_origin_is_refused(job, viewer):
    cookie = await sync_to_async(cookie_of)(viewer)
    socket = socket_of(job.pk, cookie, origin="https://evil.example")

    accepted, _ = await socket.connect(timeout=PATIENCE_S)

    assert not accepted


async def test_history_comes_first_and_then_what_happens(job, viewer):
    cookie = await sync_to_async(cookie_of)(viewer)
    for n in range(3):
        await append(job.pk, "log", {"n": n})
    socket = await opened(job.pk, cookie, after=1)

    history = [await received(socket) for _ in range(2)]
    await append(job.pk, "metrics", {"epoch": 1})
    new = await received(socket)
    await socket.disconnect()

    assert [message["seq"] for message in history] == [2, 3]
    assert new == {"seq": 4, "kind": "metrics", "data": {"epoch": 1}}


async def test_two_sockets_of_two_jobs_get_their_own(viewer):
    jobs = [await sync_to_async(JobFactory)(running=True) for _ in range(2)]
    cookie = await sync_to_async(cookie_of)(viewer)
    sockets = [await opened(each.pk, cookie) for each in jobs]

    for each in jobs:
        await append(each.pk, "log", {"job": each.pk})
    got = [(await received(socket))["data"]["job"] for socket in sockets]

    assert got == [each.pk for each in jobs]
    for socket in sockets:
        assert await socket.receive_nothing(0.1)
        await socket.disconnect()


async def test_socket_closes_when_the_job_has_ended(job, viewer):
    cookie = await sync_to_async(cookie_of)(viewer)
    socket = await opened(job.pk, cookie)

    await sync_to_async(services.finish)(job.pk, job.lease_token, "completed")

    assert (await received(socket))["data"]["status"] == "completed"
    assert await closed_with(socket) == 4410
    # Whoever has it all is told at once.
    assert await closed_with(await opened(job.pk, cookie, after=1)) == 4410


async def test_permission_taken_away_closes_the_socket(job, viewer, monkeypatch):
    monkeypatch.setattr(consumers, "RECHECK_S", 0.2)
    cookie = await sync_to_async(cookie_of)(viewer)
    socket = await opened(job.pk, cookie)
    await append(job.pk, "log", {})
    await received(socket)

    viewer.username = "stranger"
    await sync_to_async(viewer.save)()

    assert await closed_with(socket) == 4404


async def test_sign_out_closes_the_socket(job, viewer, monkeypatch):
    monkeypatch.setattr(consumers, "RECHECK_S", 0.2)
    client = Client()
    await sync_to_async(client.force_login)(viewer)
    cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
    socket = await opened(job.pk, cookie)

    await sync_to_async(client.logout)()

    assert await closed_with(socket) == 4403


async def test_access_is_checked_although_messages_keep_coming(
    job, viewer, monkeypatch
):
    monkeypatch.setattr(consumers, "RECHECK_S", 0.2)
    cookie = await sync_to_async(cookie_of)(viewer)
    socket = await opened(job.pk, cookie)
    viewer.username = "stranger"
    await sync_to_async(viewer.save)()

    code = None
    until = time.monotonic() + PATIENCE_S
    while code is None and time.monotonic() < until:
        await append(job.pk, "log", {})
        with_output = await socket.receive_output(timeout=PATIENCE_S)
        code = with_output.get("code")
    await socket.disconnect()

    assert code == 4404


async def test_client_that_does_not_acknowledge_is_put_out(job, viewer, monkeypatch):
    monkeypatch.setattr(consumers, "WINDOW", 5)
    monkeypatch.setattr(consumers, "ACKNOWLEDGE_S", 0.2)
    cookie = await sync_to_async(cookie_of)(viewer)
    await sync_to_async(services.append_events)(job.pk, [("log", {})] * 20)
    socket = await opened(job.pk, cookie)

    got = [(await received(socket))["seq"] for _ in range(5)]
    await socket.send_to(text_data="5")
    got += [(await received(socket))["seq"] for _ in range(5)]

    assert got == list(range(1, 11))
    assert await closed_with(socket) == 1012


async def test_socket_that_falls_behind_the_hub_is_put_out(job, viewer, monkeypatch):
    monkeypatch.setattr(hub_module, "QUEUE_LENGTH", 5)
    cookie = await sync_to_async(cookie_of)(viewer)
    socket = await opened(job.pk, cookie)
    await append(job.pk, "log", {})
    await received(socket)

    # More at once than may wait for one socket.
    await sync_to_async(services.append_events)(job.pk, [("log", {})] * 20)

    code, last = None, 1
    while code is None:
        output = await socket.receive_output(timeout=PATIENCE_S)
        code = output.get("code")
        if code is None:
            sequence = json.loads(output["text"])["seq"]
            assert sequence == last + 1
            last = sequence
    await socket.disconnect()
    assert code == 1012


async def test_every_event_once_and_in_order_over_reconnects_during_fast_writes(
    job, viewer
):
    n_events, n_reconnects = 600, 24
    cookie = await sync_to_async(cookie_of)(viewer)

    def write():
        try:
            for n in range(n_events):
                services.append_event(job.pk, "log", {"n": n})
                time.sleep(0.004)
        finally:
            connection.close()

    writer = threading.Thread(target=write)
    writer.start()
    got, cursor = [], 0
    for turn in itertools.count():
        socket = await opened(job.pk, cookie, after=cursor)
        wanted = n_events if turn >= n_reconnects else cursor + 1 + turn % 20
        while cursor < min(wanted, n_events):
            message = await received(socket)
            got.append((message["seq"], message["data"]["n"]))
            cursor = message["seq"]
        await socket.disconnect()
        if cursor == n_events:
            break
    await asyncio.to_thread(writer.join)

    assert got == [(n + 1, n) for n in range(n_events)]


async def test_hub_polls_plainly_where_the_database_is_not_sqlite(
    job, viewer, monkeypatch
):
    monkeypatch.setattr(type(connection), "vendor", "other", raising=False)
    monkeypatch.setattr(hub_module, "OTHER_POLL_S", 0.05)
    cookie = await sync_to_async(cookie_of)(viewer)
    socket = await opened(job.pk, cookie)

    await append(job.pk, "log", {"n": 1})

    assert (await received(socket))["data"] == {"n": 1}
    await socket.disconnect()


async def test_hub_goes_on_after_an_error(job, viewer, monkeypatch):
    monkeypatch.setattr(hub_module, "RETRY_S", 0.05)
    errors = iter([OSError("disk"), ValueError("anything")])
    read = hub._hand_out

    def read_badly(cursors):
        if error := next(errors, None):
            raise error
        read(cursors)

    monkeypatch.setattr(hub, "_hand_out", read_badly)
    cookie = await sync_to_async(cookie_of)(viewer)
    socket = await opened(job.pk, cookie)

    await append(job.pk, "log", {"n": 1})

    assert (await received(socket))["data"] == {"n": 1}
    await socket.disconnect()
    assert await sync_to_async(Job.objects.count)() == 1
