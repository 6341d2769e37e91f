from __future__ import annotations

import pytest
from django.contrib import admin
from django.contrib.auth.models import User

from tests.factories.snapshots import (
    DeploymentFactory,
    EmbeddingFactory,
    IdentificationFactory,
    OnboardingFileFactory,
    SuggestionFactory,
)

MODELS = [m for m in admin.site._registry if m._meta.app_label == "snapshots"]


@pytest.fixture
def rows(db):
    deployment = DeploymentFactory()
    SuggestionFactory(deployment=deployment)
    EmbeddingFactory(deployment=deployment)
    IdentificationFactory()
    OnboardingFileFactory()


def test_every_model_is_there():
    from django.apps import apps

    assert set(MODELS) == set(apps.get_app_config("snapshots").get_models())


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.__name__)
def test_lists_search_and_pages_work_and_nothing_is_changed(client, rows, model):
    client.force_login(User.objects.create_superuser("root"))
    base = f"/admin/snapshots/{model._meta.model_name}/"

    assert client.get(base).status_code == 200
    assert client.get(base, {"q": "x"}).status_code == 200
    row = model.objects.first()
    assert client.get(f"{base}{row.pk}/change/").status_code == 200
    assert client.get(f"{base}add/").status_code == 403
    assert client.post(f"{base}{row.pk}/delete/", {"post": "yes"}).status_code == 403
    assert model.objects.filter(pk=row.pk).exists()
