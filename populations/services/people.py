"""Verbs over populations and the people who work on them."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from django.contrib.auth.models import User
from django.db import transaction
from django.utils.text import slugify

from finwave import home
from finwave.jobs import services as jobs
from finwave.jobs.exceptions import JobNotStoppable
from finwave.jobs.models import Job
from populations.exceptions import LastAdministrator, PopulationsError
from populations.models import Membership, Population
from populations.services import tiers

logger = logging.getLogger(__name__)

# Paths under /populations/ that a population's slug would hide.
RESERVED_SLUGS = frozenset({"code-check", "demo", "new"})


def free_slug(name: str) -> str:
    """Return a slug for the name that no population has."""
    base = slugify(name)[:50] or "population"
    taken = RESERVED_SLUGS | set(
        Population.objects.filter(slug__startswith=base).values_list("slug", flat=True)
    )
    slug, n = base, 2
    while slug in taken:
        slug, n = f"{base}-{n}", n + 1
    return slug


def create_population(*, population: Population, user: User) -> Population:
    """Save a new population, with its creator as its administrator."""
    population.slug = free_slug(population.name)
    with transaction.atomic():
        population.save()
        Membership.objects.create(
            population=population, user=user, role=Membership.Role.ADMINISTRATOR
        )
    logger.info("population=%s created user=%s", population.pk, user.pk)
    return population


def save_settings(*, population: Population, changed: list[str], user: User) -> None:
    """Save a population's settings; other thresholds sort its photos into tiers anew."""
    population.save()
    if {"prominence_threshold", "dominance_margin"} & set(changed):
        tiers.set_thresholds(
            population=population,
            threshold=population.prominence_threshold,
            margin=population.dominance_margin,
            user=user,
        )


def add_member(*, population: Population, user: User, role: int) -> Membership:
    """Let a person in.

    Raises:
        PopulationsError: if the person is a member already.
    """
    with transaction.atomic():
        membership, is_new = Membership.objects.get_or_create(
            population=population, user=user, defaults={"role": role}
        )
    if not is_new:
        raise PopulationsError(
            f"{user} is a member already, as {membership.get_role_display().lower()}."
        )
    return membership


def change_role(*, membership: Membership, role: int) -> Membership:
    """Give a member another role.

    Raises:
        LastAdministrator: if nobody would be left to manage the population.
    """
    with transaction.atomic():
        if role < Membership.Role.ADMINISTRATOR:
            require_another_administrator(membership)
        membership.role = role
        membership.save(update_fields=["role"])
    return membership


def remove_member(*, membership: Membership) -> None:
    """Take a person out of a population.

    Raises:
        LastAdministrator: if nobody would be left to manage the population.
    """
    with transaction.atomic():
        require_another_administrator(membership)
        membership.delete()


def require_another_administrator(membership: Membership) -> None:
    # Locks the population, so that two administrators cannot remove each other.
    Population.objects.select_for_update().get(pk=membership.population_id)
    others = Membership.objects.filter(
        population=membership.population_id, role=Membership.Role.ADMINISTRATOR
    ).exclude(pk=membership.pk)
    if membership.role == Membership.Role.ADMINISTRATOR and not others.exists():
        raise LastAdministrator(
            f"{membership.user} is the only administrator. "
            "Make somebody else administrator first."
        )


def delete_population(*, population: Population, user: User) -> None:
    """Delete a population with everything in it, files included.

    Raises:
        PopulationsError: while a job is at work on it; it is asked to stop.
    """
    unfinished = list(Job.objects.in_scope(population.pk).unfinished())
    for job in unfinished:
        try:
            jobs.stop_job(job, user)
        except JobNotStoppable:
            continue
    if Job.objects.in_scope(population.pk).unfinished().exists():
        raise PopulationsError(
            f"{unfinished[0].title} is still at work and was asked to stop. "
            "Delete the population once it has ended."
        )
    folders = [
        home.population_folder(population.pk),
        *(
            home.staging_folder(pk)
            for pk in population.import_batches.values_list("pk", flat=True)
        ),
    ]
    pk = population.pk
    with transaction.atomic():
        delete_rows(population)
        transaction.on_commit(lambda: remove_folders(folders))
    logger.info("population=%s deleted user=%s", pk, user.pk)


def delete_rows(population: Population) -> None:
    """Delete what restricts the deletion of others first, then the population."""
    # Annotations and sightings restrict their individuals, runs their detector.
    # Apps further right hang on the population by CASCADE and on each other by
    # RESTRICT, which Django resolves as long as both go in the same deletion.
    population.delete()


def remove_folders(folders: list[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
