"""Codes of individuals as people type them: found, nearly found, proposed, refused."""

from __future__ import annotations

import difflib
import re

from populations.models import Individual, IndividualAlias, Population
from snapshots.exceptions import IdentificationError, UnknownCode

N_NEAR = 5
# Characters that people swap when they read a code from a sheet.
LOOK_ALIKE = str.maketrans("oils", "0115")


def find_individual(population: Population, code: str) -> Individual:
    """Return the individual with this code or alternative code, whatever its case.

    Raises:
        UnknownCode: with the codes that look like it.
    """
    code = code.strip()
    individuals = Individual.objects.filter(population=population)
    for lookup in ("code", "code__iexact", "aliases__code__iexact"):
        found = list(individuals.filter(**{lookup: code}).distinct()[:2])
        if len(found) == 1:
            return found[0]
    raise UnknownCode(code, near_codes(population, code))


def near_codes(population: Population, code: str) -> list[str]:
    """Return codes a person may have meant, the likeliest first."""
    individuals = Individual.objects.filter(population=population)
    of = dict(individuals.values_list("pk", "code"))
    spelt: dict[str, str] = {_plain(own): own for own in of.values()}
    for pk, alias in IndividualAlias.objects.filter(
        individual__population=population
    ).values_list("individual_id", "code"):
        spelt.setdefault(_plain(alias), of[pk])
    close = difflib.get_close_matches(_plain(code), spelt, n=2 * N_NEAR, cutoff=0.6)
    return list(dict.fromkeys(spelt[key] for key in close))[:N_NEAR]


def next_code(population: Population) -> str:
    """Propose the code after the last one: its number raised, in the same form."""
    codes = list(
        Individual.objects.filter(population=population)
        .order_by("-code_sort")
        .values_list("code", flat=True)
    )
    for code in codes:
        found = re.search(r"(\d+)(?!.*\d)", code)
        if not found:
            continue
        taken = set(codes)
        number = int(found.group()) + 1
        while True:
            digits = str(number).zfill(len(found.group()))
            proposal = code[: found.start()] + digits + code[found.end() :]
            if proposal not in taken:
                break
            number += 1
        if population.accepts_code(proposal):
            return proposal
    return ""


def refuse_code(population: Population, code: str) -> None:
    """Check a code that a new individual is to have.

    Raises:
        IdentificationError: when it is empty, taken, or breaks the pattern.
    """
    if not code:
        raise IdentificationError("A new individual needs a code. Enter one.")
    if len(code) > 100:
        raise IdentificationError("A code has at most 100 characters.")
    if not population.accepts_code(code):
        raise IdentificationError(
            f"“{code}” does not fit the code pattern of {population} "
            f"({population.code_pattern})."
        )
    same = Individual.objects.filter(population=population, code__iexact=code)
    alias = IndividualAlias.objects.filter(
        individual__population=population, code__iexact=code
    )
    if same.exists() or alias.exists():
        raise IdentificationError(
            f"“{code}” is in the catalogue already. Choose it as an individual, or "
            "enter another code."
        )


def _plain(code: str) -> str:
    return re.sub(r"[^a-z0-9]", "", code.lower()).translate(LOOK_ALIKE)
