from __future__ import annotations

import threading

import pytest
from django.db import connection

from populations.models import Annotation, Individual, Sighting
from snapshots.exceptions import IdentificationError, UnknownCode
from snapshots.models import Identification, Suggestion
from snapshots.services import codes as codes_
from snapshots.services import identification as services
from snapshots.services.suggestions import suggest
from tests.factories.accounts import UserFactory
from tests.factories.populations import (
    AnnotationFactory,
    EncounterFactory,
    IndividualFactory,
    PhotoFactory,
    SightingFactory,
)
from tests.factories.snapshots import (
    DeploymentFactory,
    EmbeddingFactory,
    SnapshotFactory,
    SuggestionFactory,
    crop_file,
    vector,
)
from tests.snapshots.conftest import CALIBRATION

pytestmark = pytest.mark.django_db


@pytest.fixture
def user():
    return UserFactory()


@pytest.fixture
def encounter(population):
    return EncounterFactory(population=population, origin="onboarded")


def animal(encounter, n_crops=1, photo=None, category="") -> Sighting:
    sighting = SightingFactory(
        encounter=encounter, number=encounter.sightings.count() + 1
    )
    for _ in range(n_crops):
        AnnotationFactory(
            photo=photo
            or PhotoFactory(population=encounter.population, encounter=encounter),
            individual=None,
            evidence="none",
            sighting=sighting,
            category=category,
        )
    return sighting


def state():
    """Return everything that an answer changes."""
    return (
        list(
            Annotation.objects.order_by("pk").values_list(
                "pk", "individual", "evidence", "decided_by", "decided_at", "sighting"
            )
        ),
        list(
            Sighting.objects.order_by("pk").values_list(
                "pk", "status", "individual", "confirmed_by", "confirmed_at"
            )
        ),
        list(Individual.objects.order_by("pk").values_list("pk", "code")),
    )


def test_accept_confirms_every_crop_and_records_the_rank(population, encounter, user):
    sighting = animal(encounter, n_crops=2)
    individual = IndividualFactory(population=population)
    row = SuggestionFactory(sighting=sighting, individual=individual, rank=2)

    answer = services.accept(sighting=sighting, suggestion=row, user=user)

    sighting.refresh_from_db()
    assert (sighting.status, sighting.individual) == ("confirmed", individual)
    assert sighting.confirmed_by == user
    for crop in sighting.annotations.all():
        assert (crop.individual, crop.evidence) == (individual, "confirmed")
        assert crop.decided_by == user
    assert (answer.answer, answer.rank) == ("accepted", 2)
    assert answer.snapshot == row.deployment.snapshot


@pytest.mark.parametrize("verb", ["accept", "choose", "new", "skip"])
def test_undo_restores_exactly(population, encounter, user, verb):
    sighting = animal(encounter, n_crops=2)
    individual = IndividualFactory(population=population, code="T010")
    row = SuggestionFactory(sighting=sighting, individual=individual)
    before = state()
    verbs = {
        "accept": lambda: services.accept(sighting=sighting, suggestion=row, user=user),
        "choose": lambda: services.choose(sighting=sighting, code="T010", user=user),
        "new": lambda: services.name_new(sighting=sighting, code="T099", user=user),
        "skip": lambda: services.skip(sighting=sighting, user=user),
    }

    answer = verbs[verb]()
    assert state() != before
    services.undo(identification=answer)

    assert state() == before
    answer.refresh_from_db()
    assert answer.undone_at


def test_undo_keeps_a_new_individual_that_is_used_elsewhere(
    population, encounter, user
):
    answer = services.name_new(sighting=animal(encounter), code="T50", user=user)
    individual = Individual.objects.get(code="T50")
    AnnotationFactory(photo__population=population, individual=individual)

    services.undo(identification=answer)

    assert Individual.objects.filter(code="T50").exists()


def test_undo_twice_is_refused(encounter, user):
    answer = services.skip(sighting=animal(encounter), user=user)
    services.undo(identification=answer)

    with pytest.raises(IdentificationError, match="already"):
        services.undo(identification=answer)


def test_undo_is_refused_when_a_crop_was_relabelled_since(population, encounter, user):
    sighting = animal(encounter)
    IndividualFactory(population=population, code="T1")
    answer = services.choose(sighting=sighting, code="T1", user=user)
    other = IndividualFactory(population=population)
    sighting.annotations.update(individual=other)

    with pytest.raises(IdentificationError, match="relabelled"):
        services.undo(identification=answer)

    assert sighting.annotations.get().individual == other


def test_a_confirmed_animal_is_not_answered_again(population, encounter, user):
    sighting = animal(encounter)
    IndividualFactory(population=population, code="T1")
    IndividualFactory(population=population, code="T2")
    services.choose(sighting=sighting, code="T1", user=user)

    with pytest.raises(IdentificationError, match="answered meanwhile"):
        services.choose(sighting=sighting, code="T2", user=user)

    assert sighting.annotations.get().individual.code == "T1"
    assert Identification.objects.count() == 1


def test_a_skipped_animal_can_be_answered(population, encounter, user):
    sighting = animal(encounter)
    IndividualFactory(population=population, code="T1")
    services.skip(sighting=sighting, user=user)

    services.choose(sighting=sighting, code="T1", user=user)

    assert Sighting.objects.get().status == "confirmed"


def test_one_animal_is_not_twice_on_one_photo(population, encounter, user):
    photo = PhotoFactory(population=population, encounter=encounter)
    first, second = animal(encounter, photo=photo), animal(encounter, photo=photo)
    IndividualFactory(population=population, code="T1")
    services.choose(sighting=first, code="T1", user=user)

    with pytest.raises(IdentificationError, match="cannot be there twice"):
        services.choose(sighting=second, code="T1", user=user)

    second.refresh_from_db()
    assert second.status == "waiting"


def test_one_animal_may_be_on_a_photo_in_two_categories(population, encounter, user):
    photo = PhotoFactory(population=population, encounter=encounter)
    first = animal(encounter, photo=photo, category="dorsal fin")
    second = animal(encounter, photo=photo, category="eye patch")
    IndividualFactory(population=population, code="T1")

    services.choose(sighting=first, code="T1", user=user)
    services.choose(sighting=second, code="T1", user=user)

    second.refresh_from_db()
    assert second.status == "confirmed"


def test_codes_are_found_whatever_their_case_and_by_alias(population):
    individual = IndividualFactory(population=population, code="T049A2")
    individual.aliases.create(code="Luna")
    IndividualFactory(code="T049A2")

    for code in ("T049A2", "t049a2", " luna "):
        assert codes_.find_individual(population, code) == individual


def test_a_mistyped_code_offers_the_near_ones(population):
    for code in ("T049A2", "T049A3", "T123"):
        IndividualFactory(population=population, code=code)
    luna = IndividualFactory(population=population, code="T200")
    luna.aliases.create(code="Luna")

    with pytest.raises(UnknownCode) as caught:
        codes_.find_individual(population, "TO49A2")
    assert caught.value.near[0] == "T049A2"
    assert "T123" not in caught.value.near
    assert codes_.near_codes(population, "Lina") == ["T200"]


def test_a_new_code_must_fit_the_pattern_and_be_free(population, encounter, user):
    population.code_pattern = r"T\d{3}"
    population.save()
    IndividualFactory(population=population, code="T001").aliases.create(code="T777")
    encounter.refresh_from_db()
    sighting = animal(encounter)

    for code, why in (
        ("X1", "pattern"),
        ("t001", "pattern"),
        ("T001", "already"),
        ("T777", "already"),
        ("", "needs a code"),
    ):
        with pytest.raises(IdentificationError, match=why):
            services.name_new(sighting=sighting, code=code, user=user)
    assert Individual.objects.count() == 1

    services.name_new(sighting=sighting, code="T002", user=user)
    assert Individual.objects.get(code="T002").annotations.count() == 1


@pytest.mark.parametrize(
    ("codes", "pattern", "proposal"),
    [
        ([], "", ""),
        (["T009", "T010"], "", "T011"),
        (["T9", "T10"], r"T\d+", "T11"),
        (["HW-001", "HW-002"], "", "HW-003"),
        (["T049A2"], "", "T049A3"),
        (["Luna"], "", ""),
        (["T99"], r"T\d\d", ""),
    ],
)
def test_next_code_is_the_last_one_raised(population, codes, pattern, proposal):
    population.code_pattern = pattern
    for code in codes:
        IndividualFactory(population=population, code=code)

    assert codes_.next_code(population) == proposal


def test_split_makes_an_animal_of_its_own(encounter, user):
    sighting = animal(encounter, n_crops=2)
    crop = sighting.annotations.last()

    new = services.split(annotation=crop, user=user)

    assert new.number == 2
    assert sighting.annotations.count() == 1
    assert new.annotations.get() == crop


def test_the_only_crop_cannot_be_split_off(encounter, user):
    with pytest.raises(IdentificationError, match="only crop"):
        services.split(annotation=animal(encounter).annotations.get(), user=user)


def test_merge_joins_two_animals(encounter, user):
    one, other = animal(encounter), animal(encounter)

    services.merge(sighting=one, other=other, user=user)

    assert one.annotations.count() == 2
    assert not Sighting.objects.filter(pk=other.pk).exists()


def test_animals_on_one_photo_are_not_merged(population, encounter, user):
    photo = PhotoFactory(population=population, encounter=encounter)
    one, other = animal(encounter, photo=photo), animal(encounter, photo=photo)

    with pytest.raises(IdentificationError, match="both on"):
        services.merge(sighting=one, other=other, user=user)

    assert Sighting.objects.count() == 2


def test_a_confirmed_animal_is_neither_split_nor_merged(population, encounter, user):
    IndividualFactory(population=population, code="T1")
    done, other = animal(encounter, n_crops=2), animal(encounter)
    services.choose(sighting=done, code="T1", user=user)

    with pytest.raises(IdentificationError, match="confirmed"):
        services.split(annotation=done.annotations.first(), user=user)
    with pytest.raises(IdentificationError, match="confirmed"):
        services.merge(sighting=other, other=done, user=user)


# Suggestions, over vectors written by hand.


@pytest.fixture
def deployment(model):
    return DeploymentFactory(snapshot=SnapshotFactory(model=model))


def known(deployment, code, *values):
    annotation = AnnotationFactory(
        photo__population=deployment.population,
        individual=IndividualFactory(population=deployment.population, code=code),
    )
    crop_file(annotation)
    EmbeddingFactory(
        deployment=deployment, annotation=annotation, vector=vector(*values)
    )
    return annotation


def asked(deployment, encounter, *values):
    sighting = animal(encounter)
    annotation = sighting.annotations.get()
    crop_file(annotation)
    EmbeddingFactory(
        deployment=deployment, annotation=annotation, vector=vector(*values)
    )
    return sighting


def ranked(sighting):
    return [
        row.individual.code if row.individual else "new"
        for row in sighting.suggestions.select_related("individual")
    ]


def test_suggestions_are_the_five_nearest_with_new_last_when_not_calibrated(
    deployment, encounter
):
    for n in range(7):
        known(deployment, f"T{n}", 1, 0.2 * n)
    sighting = asked(deployment, encounter, 1, 0)

    suggest(deployment, [sighting])

    assert ranked(sighting) == ["T0", "T1", "T2", "T3", "T4", "new"]
    first = sighting.suggestions.get(rank=1)
    assert first.similarity == pytest.approx(1, abs=1e-5)
    assert first.probability is None
    assert first.best_match.individual.code == "T0"


def test_new_is_ranked_first_when_nobody_is_close(deployment, encounter):
    deployment.calibration = CALIBRATION
    deployment.save()
    known(deployment, "T1", 1, 0)
    sighting = asked(deployment, encounter, 0, 1)

    suggest(deployment, [sighting])

    assert ranked(sighting) == ["new", "T1"]
    assert sighting.suggestions.get(rank=1).probability > 0.99


def test_with_an_empty_gallery_only_new_is_suggested(deployment, encounter):
    sighting = asked(deployment, encounter, 1, 0)

    suggest(deployment, [sighting])

    assert ranked(sighting) == ["new"]


def test_suggesting_again_replaces(deployment, encounter):
    known(deployment, "T1", 1, 0)
    sighting = asked(deployment, encounter, 1, 0)

    suggest(deployment, [sighting])
    suggest(deployment, [sighting])

    assert Suggestion.objects.filter(sighting=sighting).count() == 2


def test_a_model_that_agrees_corroborates_what_somebody_said(deployment, encounter):
    annotation = known(deployment, "T1", 1, 0)
    sighting = asked(deployment, encounter, 1, 0)
    sighting.annotations.update(individual=annotation.individual, evidence="attested")

    suggest(deployment, [sighting])

    assert sighting.annotations.get().evidence == "corroborated"


def test_a_confirmed_animal_is_suggested_for_the_next(deployment, encounter, user):
    first = asked(deployment, encounter, 1, 0)
    second = asked(deployment, encounter, 1, 0.1)

    answer = services.name_new(sighting=first, code="T1", user=user)
    assert ranked(second) == ["T1", "new"]

    services.undo(identification=answer)
    assert ranked(second) == ["new"]


@pytest.mark.django_db(transaction=True)
def test_of_two_answers_at_once_one_wins(population, encounter):
    sighting = animal(encounter)
    people = [UserFactory(), UserFactory()]
    for code in ("T1", "T2"):
        IndividualFactory(population=population, code=code)
    barrier = threading.Barrier(2)
    outcomes = []

    def answer(code, person):
        try:
            mine = Sighting.objects.select_related("encounter__population").get(
                pk=sighting.pk
            )
            barrier.wait()
            services.choose(sighting=mine, code=code, user=person)
            outcomes.append(code)
        except IdentificationError:
            outcomes.append("refused")
        finally:
            connection.close()

    threads = [
        threading.Thread(target=answer, args=pair)
        for pair in zip(("T1", "T2"), people, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes)[-1] == "refused"
    winner = next(code for code in outcomes if code != "refused")
    assert sighting.annotations.get().individual.code == winner
    assert Identification.objects.count() == 1
