from __future__ import annotations

import pytest

from finwave.home import home
from populations.exceptions import DecisionRefused, NotRescuable
from populations.models import Annotation, Individual
from populations.services import decisions
from tests.factories.accounts import UserFactory
from tests.factories.populations import (
    DetectionFactory,
    IndividualFactory,
    PopulationFactory,
)
from tests.populations.pictures import CENTRE, OTHER_CENTRE, add_detector, add_photo
from tests.populations.services.test_detection import detect

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def population():
    return PopulationFactory()


@pytest.fixture
def user():
    return UserFactory()


@pytest.fixture
def one(population):
    return IndividualFactory(population=population, code="T1")


@pytest.fixture
def two(population):
    return IndividualFactory(population=population, code="T2")


def seen(population, *squares, individuals=()):
    photo = add_photo(population, *squares, individuals=individuals)
    detect(population, add_detector_once(population))
    photo.refresh_from_db()
    return photo


def add_detector_once(population):
    return population.detectors.first() or add_detector(population)


def files(population):
    folder = home() / "populations" / str(population.pk) / "training-data"
    return sorted(path.parent.name for path in folder.glob("*/*"))


def test_choose_box_rescues_photo(population, user, one):
    photo = seen(population, CENTRE, OTHER_CENTRE, individuals=(one,))
    assert photo.tier == 3
    box = photo.detections.order_by("x1")[1]

    decisions.choose_box(photo=photo, detection=box, user=user)

    photo.refresh_from_db()
    assert (photo.tier, photo.tier_reason) == (2, "rescued")
    annotation = photo.annotations.get()
    assert annotation.detection == box
    assert annotation.individual == one
    assert annotation.side == "left"
    assert annotation.source == Annotation.Source.HUMAN
    assert annotation.evidence == Annotation.Evidence.ATTESTED
    assert annotation.decided_by == user
    assert (home() / annotation.crop.name).is_file()


def test_choose_box_again_moves_crop_and_undo_brings_it_back(population, user, one):
    photo = seen(population, CENTRE, OTHER_CENTRE, individuals=(one,))
    left, right = photo.detections.order_by("x1")
    decisions.choose_box(photo=photo, detection=left, user=user)

    before = decisions.choose_box(photo=photo, detection=right, user=user)

    assert photo.annotations.get().detection == right
    assert photo.annotations.get().x1 == pytest.approx(320)
    assert len(files(population)) == 1
    decisions.undo_decision(population=population, before=before)
    assert photo.annotations.get().detection == left
    assert photo.annotations.get().x1 == pytest.approx(160)
    assert photo.annotations.get().crop
    assert len(files(population)) == 1


def test_choose_box_undone_leaves_photo_to_numbers(population, user, one):
    photo = seen(population, CENTRE, OTHER_CENTRE, individuals=(one,))

    before = decisions.choose_box(
        photo=photo, detection=photo.detections.first(), user=user
    )
    decisions.undo_decision(population=population, before=before)

    photo.refresh_from_db()
    assert (photo.tier, photo.tier_reason) == (3, "not-dominant")
    assert not photo.annotations.exists()
    assert files(population) == []


def test_choose_box_several_labels_needs_individual(population, user, one, two):
    photo = seen(population, CENTRE, OTHER_CENTRE, individuals=(one, two))
    left, right = photo.detections.order_by("x1")

    with pytest.raises(NotRescuable, match="T1, T2"):
        decisions.choose_box(photo=photo, detection=left, user=user)
    decisions.choose_box(photo=photo, detection=left, individual=one, user=user)
    decisions.choose_box(photo=photo, detection=right, individual=two, user=user)

    kept = photo.annotations.order_by("x1")
    assert [a.individual for a in kept] == [one, two]
    photo.refresh_from_db()
    assert (photo.tier, photo.tier_reason) == (2, "rescued")


def test_choose_box_refuses_unnamed_individual_and_old_box(population, user, one, two):
    photo = seen(population, CENTRE, individuals=(one,))
    old = DetectionFactory(photo=photo)

    with pytest.raises(NotRescuable, match="T2"):
        decisions.choose_box(
            photo=photo, detection=photo.detections.first(), individual=two, user=user
        )
    with pytest.raises(NotRescuable, match="present"):
        decisions.choose_box(photo=photo, detection=old, user=user)


def test_choose_box_on_unlabelled_photo_names_nobody(population, user):
    photo = seen(population, CENTRE, OTHER_CENTRE)

    decisions.choose_box(photo=photo, detection=photo.detections.first(), user=user)

    annotation = photo.annotations.get()
    assert annotation.individual is None
    assert annotation.evidence == Annotation.Evidence.NONE


def test_drop_and_restore(population, user, one):
    photo = seen(population, CENTRE, individuals=(one,))
    annotation = photo.annotations.get()

    decisions.drop_crop(annotation=annotation, user=user)
    photo.refresh_from_db()

    assert (photo.tier, photo.tier_reason) == (3, "dropped")
    assert not Annotation.objects.training_data().exists()

    annotation.refresh_from_db()
    decisions.restore_crop(annotation=annotation, user=user)

    photo.refresh_from_db()
    assert (photo.tier, photo.tier_reason) == (1, "single")
    assert Annotation.objects.training_data().get() == annotation


def test_drop_undone_is_undecided_again(population, user, one):
    photo = seen(population, CENTRE, individuals=(one,))

    before = decisions.drop_crop(annotation=photo.annotations.get(), user=user)
    decisions.undo_decision(population=population, before=before)

    annotation = photo.annotations.get()
    assert annotation.decided_by is None
    assert annotation.decided_at is None
    assert not annotation.is_dropped


def test_restore_refused_when_another_crop_took_its_place(population, user, one):
    photo = seen(population, CENTRE, individuals=(one,))
    annotation = photo.annotations.get()
    decisions.drop_crop(annotation=annotation, user=user)
    Annotation.objects.create(
        photo=photo,
        x1=0,
        y1=0,
        x2=9,
        y2=9,
        individual=one,
        category=annotation.category,
        evidence=Annotation.Evidence.CONFIRMED,
    )

    with pytest.raises(DecisionRefused, match="T1"):
        decisions.restore_crop(annotation=annotation, user=user)


def test_relabel_moves_file_and_undo_moves_it_back(population, user, one, two):
    photo = seen(population, CENTRE, individuals=(one,))
    annotation = photo.annotations.get()

    before = decisions.relabel_crop(
        annotation=annotation, individual=two, side="right", user=user
    )

    annotation.refresh_from_db()
    assert annotation.individual == two
    assert annotation.side == "right"
    assert annotation.evidence == Annotation.Evidence.CONFIRMED
    assert files(population) == ["T2"]
    assert (home() / annotation.crop.name).is_file()

    decisions.undo_decision(population=population, before=before)

    annotation.refresh_from_db()
    assert (annotation.individual, annotation.side) == (one, "left")
    assert files(population) == ["T1"]


def test_relabel_new_code_adds_individual(population, user, one):
    photo = seen(population, CENTRE, individuals=(one,))

    decisions.relabel_crop(
        annotation=photo.annotations.get(),
        individual=None,
        new_code="T9",
        side="left",
        user=user,
    )

    assert photo.annotations.get().individual == Individual.objects.get(code="T9")


def test_relabel_to_nobody_takes_crop_out_of_training(population, user, one):
    photo = seen(population, CENTRE, individuals=(one,))

    decisions.relabel_crop(
        annotation=photo.annotations.get(), individual=None, side="left", user=user
    )

    assert not Annotation.objects.training_data().exists()
    assert files(population) == ["_unidentified"]


def test_undo_of_gone_crop_is_refused(population, user, one):
    photo = seen(population, CENTRE, individuals=(one,))
    before = decisions.drop_crop(annotation=photo.annotations.get(), user=user)
    photo.annotations.all().delete()

    with pytest.raises(DecisionRefused):
        decisions.undo_decision(population=population, before=before)


def test_undo_of_other_population_is_refused(population, user, one):
    photo = seen(population, CENTRE, individuals=(one,))
    before = decisions.drop_crop(annotation=photo.annotations.get(), user=user)

    with pytest.raises(DecisionRefused):
        decisions.undo_decision(population=PopulationFactory(), before=before)
