"""The life of a version on its page: checked, archived, deleted."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from common.downloads import download
from common.errors import ProblemError
from common.pages import chosen, clean, done, form_of, refused, show
from common.wording import size
from registry import exporting, removal
from registry.access import get_model, get_version, owns, require_owner
from registry.cards import facts, markdown, notes
from registry.graph import drawing, walk
from registry.life import doors
from registry.models import Model, ModelVersion
from registry.reports import Report


def life(user: AbstractBaseUser | AnonymousUser, version: ModelVersion, report: Report) -> dict[str, Any]:
    """What a version's page shows of its life."""
    made = facts.card(version, user, report)
    return {
        "onnx": version.exports.first(),
        "why_no_onnx": exporting.why_no_onnx(version),
        "known_limits": made["limits"],
        "notes": made["notes"],
        "keeps": owns(user, version.model),
    }


@form_of("version")
def archive(request: HttpRequest, pk: int) -> HttpResponse:
    return _act(request, pk, doors.archive, "is archived: it is out of sight, and keeps its files.")


@form_of("version")
def unarchive(request: HttpRequest, pk: int) -> HttpResponse:
    return _act(request, pk, doors.unarchive, "is back from the archive.")


@form_of("version")
def verify(request: HttpRequest, pk: int) -> HttpResponse:
    """Read all files of the version again."""
    found, back = get_version(request.user, pk), reverse("version", args=[pk])
    try:
        wrong = doors.verify(found, request.user)
    except ProblemError as problem:
        return refused(request, problem, back)
    if wrong is None:
        return done(request, f"The files of {found} are being read. Come back in a minute.", back)
    whole = f"All {len(found.artifact)} files of {found} are what was saved."
    return done(request, f"{found} is damaged. {' '.join(wrong)}" if wrong else whole, back)


@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Delete the version's files; asked by GET, says what is lost."""
    found, back = get_version(request.user, pk), reverse("version", args=[pk])
    require_owner(request.user, found.model, "delete versions")
    if request.method == "POST":
        try:
            freed = doors.delete(found, request.user)
        except ProblemError as problem:
            return refused(request, problem, back)
        return done(request, f"{found} is deleted; {size(freed)} of the disk are free.", back)
    return show(request, "confirm.html", "parts/confirm.html", _asked(found, back))


@require_safe
def card(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The version's model card; `?export=markdown` downloads it."""
    found = get_version(request.user, pk)
    made = facts.card(found, request.user)
    if request.GET.get("export") == "markdown":
        return download(request, [markdown.text(made)], "text/markdown; charset=utf-8", f"version-{pk}.md")
    context = {"version": found, "card": made, "section": "/models", "keeps": owns(request.user, found.model)}
    return render(request, "registry/card.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def version_notes(request: HttpRequest, pk: int) -> HttpResponse:
    """What the owner says of one version, on its card."""
    return _notes(request, get_version(request.user, pk), reverse("version-card", args=[pk]))


@require_http_methods(["GET", "HEAD", "POST"])
def model_notes(request: HttpRequest, pk: int) -> HttpResponse:
    """What the owner says of all versions of a model, on their cards."""
    return _notes(request, get_model(request.user, pk), reverse("model", args=[pk]))


def _notes(request: HttpRequest, about: Model | ModelVersion, back: str) -> HttpResponse:
    model = about if isinstance(about, Model) else about.model
    require_owner(request.user, model, "change the notes on the card")
    row = notes.of(about)
    values = {name: getattr(row, name) for name in notes.FIELDS}
    problem: ProblemError | None = None
    if request.method == "POST":
        values = {name: clean(request.POST.get(name, "")) for name in notes.FIELDS}
        try:
            notes.change(about, request.user, **values)
            return done(request, f"The notes on {about} are saved.", back)
        except ProblemError as error:
            problem = error
    context = {
        "about": about, "model": model, "values": values, "problem": problem, "back": back, "section": "/models",
        "errors": problem.fields if problem else {}, "longest": notes.LONGEST, "of_all": about is model,
    }  # fmt: skip
    return render(request, "registry/card_notes.html", context, status=problem.status if problem else 200)


@require_http_methods(["GET", "HEAD", "POST"])
def export(request: HttpRequest, pk: int) -> HttpResponseBase:
    """GET downloads the version (`?format=onnx`: as it was exported); POST has it exported as ONNX."""
    found, back = get_version(request.user, pk), reverse("version", args=[pk])
    if request.method == "POST":
        try:
            doors.export(found, request.user)
        except ProblemError as problem:
            return refused(request, problem, back)
        return done(request, f"{found} is being exported as ONNX. Its page shows when it is done.", back)
    asked = chosen(request, "format", ["onnx"])
    pieces = exporting.onnx(found, request.user) if asked else exporting.folder(found, request.user)
    return download(request, pieces, "application/zip", f"version-{pk}{'-onnx' if asked else ''}.zip")


@require_safe
def lineage(request: HttpRequest, pk: int) -> HttpResponse:
    """Where the version came from and what came of it, over generations."""
    found = get_version(request.user, pk)
    story = walk.graph(found, request.user)
    context = {
        "version": found, "story": story, "drawing": drawing.draw(story), "section": "/models",
        "led_to_it": drawing.tree(story, upward=True), "it_led_to": drawing.tree(story, upward=False),
    }  # fmt: skip
    return render(request, "registry/lineage.html", context)


def _asked(found: ModelVersion, back: str) -> dict[str, Any]:
    asked = {
        "title": f"Delete {found}?", "button": "Delete for good", "icon_name": "trash", "keep": "Keep it",
        "action": reverse("version-delete", args=[found.pk]), "back": back,
        "lines": [
            f"Its {len(found.artifact)} files are lost: weights, report, settings of the model. Nobody can use it or "
            "bring it back.",
            f"{size(removal.freed_by(found))} of the disk become free; files that others need stay.",
            "That it was, its figures, where it came from and what was made from it stay.",
        ],
    }  # fmt: skip
    if reasons := [*removal.offices(found), *removal.uses(found)]:
        asked |= {"title": f"{found} can't be deleted", "button": "", "keep": "Close", "lines": reasons}
    if found.status == ModelVersion.Status.DELETED:
        asked |= {"title": f"{found} is deleted", "button": "", "keep": "Close", "lines": ["Its files are gone."]}
    return asked


def _act(request: HttpRequest, pk: int, verb: Any, said: str) -> HttpResponse:
    found, back = get_version(request.user, pk), reverse("version", args=[pk])
    try:
        verb(found, request.user)
    except ProblemError as problem:
        return refused(request, problem, back)
    return done(request, f"{found} {said}", back)
