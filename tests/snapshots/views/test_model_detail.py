from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from snapshots.models import Snapshot
from snapshots.queries import timeline
from tests.factories.snapshots import (
    DeploymentFactory,
    SnapshotFactory,
    TrainedModelFactory,
)
from tests.snapshots.conftest import Role

N_QUERIES = 11


@pytest.fixture
def url(model):
    return f"/populations/bay/models/{model.pk}/"


def aged(days, **changes):
    snapshot = SnapshotFactory(**changes)
    Snapshot.objects.filter(pk=snapshot.pk).update(
        created_at=timezone.now() - timedelta(days=days)
    )
    snapshot.refresh_from_db()
    return snapshot


def test_timeline_shows_every_snapshot_and_the_current_ones_card(
    client, viewer, model, url
):
    aged(9, model=model, name="old one")
    aged(1, model=model, name="new one", is_current=True)
    SnapshotFactory(name="of another model")
    client.force_login(viewer)

    content = client.get(url).content.decode()

    assert content.index("old one") < content.index("new one")
    assert re.search(r'<h2 class="card-title">\s*new one', content)
    assert "1\xa0week" in content
    assert "of another model" not in content


def test_htmx_gets_the_card_only(client, viewer, model, url):
    asked = SnapshotFactory(model=model, name="asked")
    SnapshotFactory(model=model, name="current", is_current=True)
    client.force_login(viewer)

    content = client.get(
        url,
        {"snapshot": asked.pk},
        headers={"HX-Request": "true", "HX-Target": "snapshot-card"},
    ).content.decode()

    assert "<html" not in content
    assert 'id="snapshot-card"' in content
    assert "asked" in content
    assert ">current<" not in content


def test_full_page_opens_the_card_asked_for(client, viewer, model, url):
    asked = SnapshotFactory(model=model, name="asked")
    SnapshotFactory(model=model, is_current=True)
    client.force_login(viewer)

    content = client.get(url, {"snapshot": asked.pk}).content.decode()

    assert "<html" in content
    assert re.search(r'<h2 class="card-title">\s*asked', content)


def test_viewers_see_no_buttons_that_they_may_not_press(
    client, viewer, trainer, model, url
):
    SnapshotFactory(model=model, is_current=True)
    client.force_login(viewer)
    assert "Deploy snapshot" not in client.get(url).content.decode()

    client.force_login(trainer)
    assert "Deploy snapshot" in client.get(url).content.decode()


def test_empty_timeline_says_why(client, viewer, url):
    client.force_login(viewer)

    assert "Nothing on the timeline yet" in client.get(url).content.decode()


def test_a_model_of_another_population_is_not_found(client, viewer, population):
    other = TrainedModelFactory()
    client.force_login(viewer)

    assert client.get(f"/populations/bay/models/{other.pk}/").status_code == 404


@pytest.mark.parametrize("n_snapshots", [1, 3])
def test_query_count_does_not_grow(
    client, viewer, model, url, n_snapshots, django_assert_num_queries
):
    for n in range(n_snapshots):
        snapshot = SnapshotFactory(model=model, is_current=n == 0)
        DeploymentFactory(snapshot=snapshot, status="active" if n == 0 else "preparing")
        TrainedModelFactory(parent_snapshot=snapshot)
    client.force_login(viewer)

    with django_assert_num_queries(N_QUERIES):
        client.get(url)


def test_timeline_is_paged(client, viewer, model, url, monkeypatch):
    monkeypatch.setattr(timeline, "NODES_PER_PAGE", 2)
    for n in range(3):
        aged(10 - n, model=model, name=f"number {n}")
    client.force_login(viewer)

    assert "number 0" not in client.get(url).content.decode()
    assert "number 0" in client.get(url, {"page": 2}).content.decode()


def test_access(check_access, url):
    check_access(url, Role.VIEWER)


# The nodes.


def nodes(model):
    return timeline.nodes_of(list(timeline.timeline_page(model, 1)), model)


def test_gaps_are_in_proportion_to_time(model):
    for days in (30, 20, 15, 15):
        aged(days, model=model)

    gaps = [node.gap for node in nodes(model)]

    assert gaps == [0, timeline.GAP_STEPS, timeline.GAP_STEPS // 2, 0]


def test_a_node_says_what_it_is(model):
    aged(3, model=model, state="saved", expires_at=None)
    DeploymentFactory(snapshot=aged(2, model=model))
    aged(1, model=model, expires_at=timezone.now() + timedelta(days=15))
    aged(0, model=model, is_current=True)

    saved, deployed, temporary, current = nodes(model)

    assert saved.words == "saved"
    assert deployed.words == "temporary, deployed"
    assert deployed.days_left is None
    assert temporary.words == "temporary, 15 days left"
    assert temporary.percent_left == 50
    assert temporary.why_not_deletable == ""
    assert current.words == "current state, temporary"
    assert current.why_not_deletable


def test_a_name_that_only_repeats_the_time_is_shortened(model):
    snapshot = aged(0, model=model, epoch=8)
    local = timezone.localtime(snapshot.created_at)
    snapshot.name = f"{local:%Y-%m-%d %H:%M}, epoch 8"
    snapshot.save()
    aged(0, model=model, name="Best of spring")

    assert [node.label for node in nodes(model)] == ["epoch 8", "Best of spring"]
