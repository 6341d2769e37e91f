from __future__ import annotations

import pytest

from finwave.jobs.models import Job
from snapshots.models import Deployment, Snapshot
from tests.factories.snapshots import DeploymentFactory, SnapshotFactory
from tests.snapshots.conftest import Role


@pytest.fixture
def snapshot(model) -> Snapshot:
    return SnapshotFactory(model=model, name="May")


@pytest.fixture
def url(snapshot):
    return f"/populations/bay/snapshots/{snapshot.pk}/"


def test_detail_shows_figures_recipe_and_training_data(client, viewer, url):
    client.force_login(viewer)

    content = client.get(url).content.decode()

    assert "75.0" in content
    assert "0.500" in content
    assert "epochs" in content
    assert "of these, val" in content
    assert "T002" in content


def test_detail_of_a_deployed_snapshot_links_its_deployment(client, viewer, url):
    deployment = DeploymentFactory(snapshot=Snapshot.objects.get())
    client.force_login(viewer)

    assert f"/deployments/{deployment.pk}/" in client.get(url).content.decode()


def test_save_then_unsave(client, trainer, snapshot, url):
    client.force_login(trainer)

    client.post(f"{url}save/")
    snapshot.refresh_from_db()
    assert (snapshot.state, snapshot.saved_by) == ("saved", trainer)

    client.post(f"{url}unsave/")
    snapshot.refresh_from_db()
    assert snapshot.state == "temporary"
    assert snapshot.expires_at


def test_rename(client, trainer, snapshot, url):
    client.force_login(trainer)

    response = client.post(f"{url}rename/", {"name": " Spring catalogue "})

    snapshot.refresh_from_db()
    assert snapshot.name == "Spring catalogue"
    assert response.url.endswith(f"?snapshot={snapshot.pk}")


@pytest.mark.parametrize("name", ["", "x" * 121, "June"])
def test_a_name_that_cannot_be_is_refused(client, trainer, snapshot, url, name):
    SnapshotFactory(model=snapshot.model, name="June")
    client.force_login(trainer)

    content = client.post(f"{url}rename/", {"name": name}, follow=True).content.decode()

    snapshot.refresh_from_db()
    assert snapshot.name == "May"
    assert "notice-error" in content


def test_notes(client, trainer, snapshot, url):
    client.force_login(trainer)

    client.post(f"{url}notes/", {"notes": "Good at night"})

    snapshot.refresh_from_db()
    assert snapshot.notes == "Good at night"


def test_deploy_starts_a_job(client, trainer, snapshot, url):
    client.force_login(trainer)

    response = client.post(f"{url}deploy/")

    deployment = Deployment.objects.get()
    assert deployment.snapshot == snapshot
    assert deployment.job.status == Job.Status.QUEUED
    assert response.url == f"/populations/bay/deployments/{deployment.pk}/"


def test_deploying_twice_says_why_not(client, trainer, url):
    client.force_login(trainer)
    client.post(f"{url}deploy/")

    content = client.post(f"{url}deploy/", follow=True).content.decode()

    assert "being deployed just now" in content
    assert Deployment.objects.count() == 1


def test_weights_are_downloaded_whole(client, trainer, snapshot, url):
    client.force_login(trainer)

    response = client.get(f"{url}weights/")

    assert b"".join(response.streaming_content) == b"weights"
    assert 'filename="fins-may.safetensors"' in response["Content-Disposition"]


def test_delete_asks_for_the_name(client, trainer, snapshot, url):
    client.force_login(trainer)

    assert client.get(f"{url}delete/").status_code == 200
    assert client.post(f"{url}delete/", {"name": "Mai"}).status_code == 422
    assert Snapshot.objects.count() == 1

    client.post(f"{url}delete/", {"name": "May"})
    assert not Snapshot.objects.exists()


def test_the_current_state_is_not_deleted(client, trainer, snapshot, url):
    Snapshot.objects.update(is_current=True)
    client.force_login(trainer)

    assert "current state" in client.get(f"{url}delete/").content.decode()
    response = client.post(f"{url}delete/", {"name": "May"})

    assert response.status_code == 422
    assert Snapshot.objects.exists()


def test_a_snapshot_of_another_population_is_not_found(client, trainer, population):
    client.force_login(trainer)
    other = SnapshotFactory()

    for page in ("", "weights/", "delete/"):
        url = f"/populations/bay/snapshots/{other.pk}/{page}"
        assert client.get(url).status_code == 404


def test_access_to_the_detail(check_access, url):
    check_access(url, Role.VIEWER)


@pytest.mark.parametrize("verb", ["save", "unsave", "rename", "notes", "deploy"])
def test_access_to_verbs(check_access, client, trainer, url, verb):
    check_access(f"{url}{verb}/", Role.TRAINER, method="post")
    assert client.get(f"{url}{verb}/").status_code == 405


@pytest.mark.parametrize("page", ["weights", "delete"])
def test_access_to_pages_of_trainers(check_access, url, page):
    check_access(f"{url}{page}/", Role.TRAINER)


def test_deployment_page_and_taking_it_out_of_service(client, trainer, snapshot):
    deployment = DeploymentFactory(snapshot=snapshot, export_difference=2e-7)
    client.force_login(trainer)
    url = f"/populations/bay/deployments/{deployment.pk}/"

    assert "2.0e-07" in client.get(url).content.decode()
    client.post(f"{url}retire/")

    deployment.refresh_from_db()
    assert deployment.status == "retired"


def test_access_to_deployments(check_access, snapshot):
    url = f"/populations/bay/deployments/{DeploymentFactory(snapshot=snapshot).pk}/"

    check_access(url, Role.VIEWER)
    check_access(f"{url}retire/", Role.TRAINER, method="post")
