from __future__ import annotations

from django.contrib import messages
from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from finwave.accounts import services
from finwave.accounts.exceptions import SetupClosed, WrongSetupCode
from finwave.accounts.forms import FirstAdministratorForm

BACKEND = "django.contrib.auth.backends.ModelBackend"


@require_http_methods(["GET", "POST"])
@sensitive_post_parameters()
def setup(request: HttpRequest) -> HttpResponse:
    if services.is_set_up():
        return redirect("accounts:login")
    is_local = services.comes_from_this_machine(request.META)
    form = FirstAdministratorForm(request.POST or None, needs_code=not is_local)

    if request.method == "POST" and form.is_valid():
        try:
            user = services.create_first_administrator(
                username=form.cleaned_data["username"],
                email=form.cleaned_data["email"],
                password=form.cleaned_data["password1"],
                code=None if is_local else form.cleaned_data["code"],
            )
        except WrongSetupCode as err:
            form.add_error("code", str(err))
        except SetupClosed as err:
            messages.error(request, str(err))
            return redirect("accounts:login")
        else:
            login(request, user, backend=BACKEND)
            return redirect("populations:population-list")

    status = 422 if form.errors else 200
    return render(request, "accounts/setup.html", {"form": form}, status=status)
