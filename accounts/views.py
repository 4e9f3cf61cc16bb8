"""Signing in and out, and a person's settings."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.contrib.auth import login, logout, update_session_auth_hash
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import passwords, signin, tokens
from accounts.models import ApiToken
from common.access import get_visible
from common.errors import InvalidInputError, ProblemError
from common.pages import clean, done, form_of, show, wants_fragment

LIFETIMES = [("30", "30 days"), ("90", "90 days"), ("365", "a year"), ("", "ever, until revoked")]
THEMES = {"light", "dark"}


@login_not_required
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    if wants_fragment(request):  # the session ended under an open page: it is loaded anew, which asks for sign-in
        response = HttpResponse()
        response.headers["HX-Refresh"] = "true"
        return response
    target = _safe_target(request)
    context: dict[str, Any] = {"next": target, "username": clean(request.POST.get("username", ""))[:150]}
    if request.method != "POST":
        return redirect(target) if request.user.is_authenticated else render(request, "accounts/sign_in.html", context)
    try:
        user = signin.sign_in(request, context["username"], clean(request.POST.get("password", ""))[:1000])
    except ProblemError as problem:
        return render(request, "accounts/sign_in.html", context | {"problem": problem}, status=problem.status)
    login(request, user)
    return redirect(target)


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    messages.success(request, "You are signed out.")
    return redirect("login")


@login_not_required
@require_POST
def theme(request: HttpRequest) -> HttpResponse:
    """Light, dark, or as the system says. In a cookie, so that the server draws the page right at once."""
    response = redirect(_safe_target(request))
    chosen = request.POST.get("theme", "")
    if chosen in THEMES:
        age = timedelta(days=365)
        response.set_cookie("theme", chosen, max_age=age, httponly=True, samesite="Lax", secure=request.is_secure())
    else:
        response.delete_cookie("theme", samesite="Lax")
    return response


@require_GET
def settings(request: HttpRequest) -> HttpResponse:
    return _settings(request)


@sensitive_post_parameters("present", "new")
@form_of("settings")
def change_password(request: HttpRequest) -> HttpResponse:
    try:
        user = passwords.change(request, request.POST.get("present", "")[:1000], request.POST.get("new", "")[:1000])
    except InvalidInputError as problem:
        return _settings(request, problem=problem, errors=problem.fields)
    update_session_auth_hash(request, user)  # this session goes on, all others end
    messages.success(request, "Your password is changed. Other sessions and your API tokens have ended.")
    return redirect("settings")


@form_of("settings")
def create_token(request: HttpRequest) -> HttpResponse:
    name = clean(request.POST.get("name", "")).strip()
    days = request.POST.get("days", "")
    typed = {"name": name, "chosen_days": days}
    if not name:
        problem = InvalidInputError("A token needs a name.", "Say what it is for.", fields={"name": ["Type a name."]})
        return _settings(request, **typed, problem=problem, errors=problem.fields)
    expires = timezone.now() + timedelta(days=int(days)) if days in {"30", "90", "365"} else None
    try:
        _, key = tokens.create(request.user, name, expires)
    except ProblemError as problem:
        return _settings(request, **typed, problem=problem)
    # Shown in the answer itself: a redirect would have to keep the key somewhere.
    return _settings(request, key=key)


@require_http_methods(["GET", "POST"])
def revoke_token(request: HttpRequest, pk: int) -> HttpResponse:
    # One's own tokens only, also for administrators: the admin is their door to others'.
    token = get_visible(ApiToken.objects.filter(user=request.user), request.user, owner="user", pk=pk)
    if request.method == "POST":
        tokens.revoke(token)
        return done(request, f"The token '{token.name}' is revoked: programs that use it are refused.", _settings_url())
    context = {
        "title": f"Revoke the token '{token.name}'?",
        "lines": ["Programs that use it are refused from now on. It can't be brought back."],
        "action": reverse("token-revoke", args=[pk]), "back": _settings_url(), "keep": "Keep it",
        "button": "Revoke", "icon_name": "trash",
    }  # fmt: skip
    return show(request, "confirm.html", "parts/confirm.html", context)


def _settings(request: HttpRequest, **more: Any) -> HttpResponse:
    context = {"tokens": ApiToken.objects.filter(user=request.user), "lifetimes": LIFETIMES, "chosen_days": "90"}
    status = more["problem"].status if more.get("problem") else 200
    return render(request, "accounts/settings.html", context | more, status=status)


def _settings_url() -> str:
    return reverse("settings")


def _safe_target(request: HttpRequest) -> str:
    target = request.POST.get("next") or request.GET.get("next") or ""
    safe = url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure())
    # `redirect` takes what has no slash for the name of a view.
    return target if safe and target.startswith("/") and "\x00" not in target else reverse("dashboard")
