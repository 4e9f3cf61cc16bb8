"""Pages about nodes, and what an administrator may do with one."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from common.errors import ForbiddenError, ProblemError
from common.pages import done, refused, show
from jobs import node_pictures, nodes
from jobs.models import Node

VERBS = {"drain": nodes.drain, "resume": nodes.resume, "forget": nodes.forget}


@require_safe
def machines(request: HttpRequest) -> HttpResponse:
    return render(request, "jobs/nodes.html", node_pictures.machines(request.user))


@require_safe
def machine(request: HttpRequest, name: str) -> HttpResponse:
    return render(request, "jobs/node.html", node_pictures.machine(nodes.find(name), request.user))


@require_http_methods(["GET", "POST"])
def action(request: HttpRequest, name: str, verb: str) -> HttpResponse:
    """Carries an action out; asked by GET, says what it does."""
    if verb not in VERBS:
        raise Http404
    node = nodes.find(name)
    if not getattr(request.user, "is_staff", False):
        raise ForbiddenError("Only administrators may change nodes.", "Ask one of them.")
    back = reverse("nodes") if verb == "forget" else reverse("node", args=[node.name])
    if request.method == "POST":
        try:
            VERBS[verb](node, request.user)
        except ProblemError as problem:
            return refused(request, problem, reverse("node", args=[node.name]))
        return done(request, _said(verb, node), back, stay=verb != "forget")
    return show(request, "confirm.html", "parts/confirm.html", _question(verb, node))


def _said(verb: str, node: Node) -> str:
    if verb == "forget":
        return f"Node '{node.name}' is forgotten. Started again, it joins as a new one."
    if verb == "resume":
        return f"Node '{node.name}' takes jobs again."
    running = node_pictures.running_on(node)
    if running:
        jobs = "its running job" if running == 1 else f"its {running} running jobs"
        return f"Node '{node.name}' finishes {jobs} and takes nothing more."
    return f"Node '{node.name}' runs nothing and takes nothing more: it can be stopped."


def _question(verb: str, node: Node) -> dict[str, object]:
    running = node_pictures.running_on(node)
    jobs = {0: "It runs nothing now.", 1: "Its running job goes on to its end."}.get(
        running, f"Its {running} running jobs go on to their end."
    )
    lines = {
        "drain": [f"{jobs} It takes no new one; jobs in the queue wait for other nodes.", "Resume undoes it."],
        "resume": ["It takes jobs again at once."],
        "forget": [
            "Its page, its events and its place among the nodes are removed. Jobs that ran there keep their results.",
            "Started again, it joins as a new one.",
        ],
    }[verb]
    label = verb.capitalize()
    return {
        "title": f"{label} node '{node.name}'?",
        "lines": lines,
        "action": reverse("node-action", args=[node.name, verb]),
        "back": reverse("node", args=[node.name]),
        "keep": "Leave it as it is",
        "button": f"{label} the node",
        "icon_name": {"drain": "player-pause", "resume": "player-play", "forget": "trash"}[verb],
    }
