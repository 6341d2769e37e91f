from __future__ import annotations

import pytest
from django.apps import apps
from django.contrib import admin

from populations.models import Detector, Individual, Photo
from tests.factories.populations import (
    AnnotationFactory,
    DetectionFactory,
    ImportBatchFactory,
    MembershipFactory,
    PhotoLabelFactory,
    SightingFactory,
)

MODELS = list(apps.get_app_config("populations").get_models())


@pytest.fixture
def rows(db):
    label = PhotoLabelFactory()
    AnnotationFactory(photo=label.photo, individual=label.individual)
    DetectionFactory(photo=label.photo)
    MembershipFactory(population=label.photo.population)
    SightingFactory()
    label.individual.aliases.create(code="Old")
    batch = ImportBatchFactory(population=label.photo.population)
    batch.files.create(path="a.jpg")


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_model_has_a_searchable_list_and_a_page(model, rows, admin_client):
    assert model in admin.site._registry
    name = model._meta.model_name
    row = model.objects.first()

    assert admin_client.get(f"/admin/populations/{name}/?q=a").status_code == 200
    page = admin_client.get(f"/admin/populations/{name}/{row.pk}/change/")

    assert page.status_code == 200


@pytest.mark.parametrize(
    "model", [Photo, Detector, Individual], ids=lambda model: model.__name__
)
def test_rows_with_files_or_labels_cannot_be_deleted(model, rows, admin_client):
    name, row = model._meta.model_name, model.objects.first()

    answer = admin_client.post(
        f"/admin/populations/{name}/{row.pk}/delete/", {"post": "yes"}
    )
    listed = admin_client.get(f"/admin/populations/{name}/").content.decode()

    assert answer.status_code == 403
    assert "delete_selected" not in listed
    assert model.objects.filter(pk=row.pk).exists()
