"""Addresses for machines: is it alive, and its figures."""

from __future__ import annotations

import sys

from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError, InterfaceError, OperationalError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from drf_spectacular.utils import extend_schema
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from rest_framework.decorators import api_view, permission_classes
from rest_framework.permissions import IsAdminUser
from rest_framework.request import Request

from common.errors import ProblemError, database_away
from common.problems import problem_response
from jobs.models import Job, Node
from jobs.overview import free_and_busy
from jobs.states import ACTIVE


@login_not_required
def healthz(request: HttpRequest) -> JsonResponse:
    """200 when the database answers, 503 when it does not. Says nothing else, so anyone may ask."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except (DatabaseError, InterfaceError):
        return JsonResponse({"status": "database unreachable"}, status=503)
    return JsonResponse({"status": "ok"})


def server_error(request: HttpRequest) -> HttpResponse:
    """What is shown for an error that nothing else caught; an absent database is told apart and answers 503.

    Neither page may touch session or database: they may be what is broken.
    """
    away = isinstance(sys.exc_info()[1], OperationalError | InterfaceError)
    if request.path.startswith("/api/"):
        return problem_response(request, database_away() if away else _unexpected())
    status = 503 if away else 500
    return HttpResponse(render_to_string(f"{status}.html"), status=status)


def _unexpected() -> ProblemError:
    error = ProblemError(
        "Something went wrong in TrainHub.", "It was written to the log. Try again, or tell an administrator."
    )
    error.status, error.code, error.title = 500, "unexpected", "Something went wrong"
    return error


@extend_schema(exclude=True)
@api_view(["GET"])
@permission_classes([IsAdminUser])
def metrics(request: Request) -> HttpResponse:
    """Figures for Prometheus: active jobs by state, slots, nodes. For staff, by session or token."""
    registry = CollectorRegistry()
    jobs = Gauge("trainhub_jobs", "Jobs that have not ended, by state.", ["status"], registry=registry)
    found = list(Job.objects.filter(status__in=ACTIVE).values_list("status", flat=True).order_by())
    for status in ACTIVE:
        jobs.labels(status.value).set(found.count(status.value))
    free, busy = free_and_busy()
    slots = Gauge("trainhub_slots", "Slots of living nodes.", ["state"], registry=registry)
    slots.labels("free").set(free)
    slots.labels("busy").set(busy)
    alive = sum(node.is_up for node in Node.objects.all())
    Gauge("trainhub_nodes_up", "Nodes that have been heard of lately.", registry=registry).set(alive)
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
