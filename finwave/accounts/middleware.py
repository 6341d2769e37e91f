"""Until somebody is administrator, every page leads to the first one's form."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from finwave.accounts import services


class FirstAdministratorMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        # Once true it stays true, so a set-up installation pays no query here.
        self.is_set_up = False

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not self.is_set_up:
            self.is_set_up = services.is_set_up()
            if not self.is_set_up and not self.is_open(request.path):
                return redirect("accounts:setup")
        return self.get_response(request)

    @staticmethod
    def is_open(path: str) -> bool:
        return path == reverse("accounts:setup") or path.startswith(settings.STATIC_URL)
