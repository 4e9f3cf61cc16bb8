"""The hub itself on the API: figures, nodes, limits, recipes."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import F, Prefetch, Q, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.errors import InvalidInputError
from common.serializers import Input
from datasets.models import Subject
from engine import catalogue
from jobs import bases, limits, nodes, overview
from jobs.hub_serializers import (
    BaseSerializer,
    BasesQuery,
    LimitsInput,
    LimitsSerializer,
    NodeDetailSerializer,
    NodeSerializer,
    RecipeSerializer,
    StatsSerializer,
)
from jobs.models import Limit, Node, Slot
from jobs.states import ACTIVE

RECENT = 50  # events of a node
TAGS = ["hub"]


class StatsView(APIView):
    @extend_schema(
        operation_id="training_stats",
        tags=TAGS,
        summary="Jobs by status, free and busy slots, the figures of the week",
        responses=StatsSerializer,
    )
    def get(self, request: Request) -> Response:
        counts = overview.counts(request.user)
        free, busy = overview.free_and_busy()
        return Response(
            {
                "jobs": counts,
                "active": sum(counts.get(status, 0) for status in ACTIVE),
                "slots_free": free,
                "slots_busy": busy,
                "week": overview.week(request.user),
            }
        )


def _nodes() -> QuerySet[Node]:
    """Nodes with their slots, and who runs what on them; two queries."""
    slots = Slot.objects.annotate(
        busy=Q(held_by__isnull=False), running_job=F("held_by__job_id"), running_owner=F("held_by__job__owner_id")
    )
    return Node.objects.prefetch_related(Prefetch("slots", slots.order_by("index"))).order_by("name")


class NodesView(generics.ListAPIView):
    serializer_class = NodeSerializer
    filter_backends: list[type] = []

    def get_queryset(self) -> Any:
        return _nodes()

    @extend_schema(operation_id="training_nodes", tags=TAGS, summary="Machines with workers, and their slots")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class NodeView(APIView):
    @extend_schema(
        operation_id="training_nodes_get",
        tags=TAGS,
        summary="One machine, and what happened to it lately",
        responses=NodeDetailSerializer,
    )
    def get(self, request: Request, node_name: str) -> Response:
        return _shown(request, nodes.find(node_name))

    @extend_schema(
        operation_id="training_nodes_forget",
        tags=TAGS,
        summary="Forget a machine that is gone for good",
        description="For administrators. A conflict while it is up or holds a job.",
        responses={204: None},
    )
    def delete(self, request: Request, node_name: str) -> Response:
        nodes.forget(nodes.find(node_name), request.user)
        return Response(status=204)


class DrainView(APIView):
    @extend_schema(
        operation_id="training_nodes_drain",
        tags=TAGS,
        summary="Let a machine finish what it runs and take nothing more",
        description="For administrators.",
        request=None,
        responses=NodeDetailSerializer,
    )
    def post(self, request: Request, node_name: str) -> Response:
        Input.read(request.data)
        return _shown(request, nodes.drain(nodes.find(node_name), request.user))


class ResumeNodeView(APIView):
    @extend_schema(
        operation_id="training_nodes_resume",
        tags=TAGS,
        summary="Let a machine that was drained or set aside take jobs again",
        description="For administrators.",
        request=None,
        responses=NodeDetailSerializer,
    )
    def post(self, request: Request, node_name: str) -> Response:
        Input.read(request.data)
        return _shown(request, nodes.resume(nodes.find(node_name), request.user))


def _shown(request: Request, node: Node) -> Response:
    row = _nodes().get(pk=node.pk)
    events = row.events.select_related("actor").defer("actor__password").order_by("-id")
    row.recent_events = list(events[:RECENT])  # type: ignore[attr-defined]
    return Response(NodeDetailSerializer(row, context={"request": request}).data)


class LimitsView(APIView):
    @extend_schema(
        operation_id="training_limits",
        tags=TAGS,
        summary="How many jobs users and subjects may have at a time",
        description="Those that concern you; administrators see all.",
        responses=LimitsSerializer,
    )
    def get(self, request: Request) -> Response:
        return _limits(request)

    @extend_schema(
        operation_id="training_limits_set",
        tags=TAGS,
        summary="Set the limits",
        description=(
            "For administrators. Each of `default`, `users` and `subjects` that is sent replaces all that there was "
            "of its kind; what is left out stays. Running jobs are never ended by a limit."
        ),
        request=LimitsInput,
        responses=LimitsSerializer,
    )
    def put(self, request: Request) -> Response:
        limits.administrators_only(request.user)
        given = LimitsInput.read(request.data)
        everyone = (given["default"]["max_running"], given["default"]["max_active"]) if "default" in given else None
        limits.replace_limits(
            request.user,
            everyone=everyone,
            users=_by_row(given, "users", "user", get_user_model().objects.all(), "username"),
            subjects=_by_row(given, "subjects", "subject", Subject.objects.all(), "pk"),
        )
        return _limits(request)


def _by_row(given: dict[str, Any], part: str, key: str, rows: QuerySet, field: str) -> dict[Any, limits.Numbers] | None:
    """One part of the body, by the rows that it names; InvalidInputError for a name that nobody has."""
    if part not in given:
        return None
    wanted = {entry[key]: (entry["max_running"], entry["max_active"]) for entry in given[part]}
    if len(wanted) < len(given[part]):
        message = f"A {key} is named twice."
        raise InvalidInputError(message, "Name each once.", fields={part: [message]})
    found = {getattr(row, field): row for row in rows.filter(**{f"{field}__in": list(wanted)})}
    missing = [name for name in wanted if name not in found]
    if missing:
        message = f"There is no {key} {missing[0]}."
        raise InvalidInputError(message, "Correct the name, and send all limits again.", fields={part: [message]})
    return {found[name]: numbers for name, numbers in wanted.items()}


def _limits(request: Request) -> Response:
    rows = Limit.objects.select_related("user", "subject").defer("user__password")
    if not request.user.is_staff:
        rows = rows.filter(Q(user=request.user) | Q(subject__owner=request.user) | Q(user=None, subject=None))
    found = list(rows.order_by("user__username", "subject_id"))
    everyone = next((row for row in found if row.user_id is None and row.subject_id is None), Limit())
    parts = {
        "default": everyone,
        "users": [row for row in found if row.user_id],
        "subjects": [row for row in found if row.subject_id],
    }
    return Response(LimitsSerializer(parts).data)


class RecipesView(APIView):
    pagination_class = None

    @extend_schema(
        operation_id="training_recipes",
        tags=TAGS,
        summary="Kinds of training, with the JSON schema of each one's configuration",
        responses=RecipeSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        return Response([describe(recipe) for recipe in catalogue.RECIPES.values()])


class BasesView(APIView):
    pagination_class = None

    @extend_schema(
        operation_id="training_model_folders",
        tags=TAGS,
        summary="Model folders of the hub that jobs of a recipe can start from",
        parameters=[BasesQuery],
        responses=BaseSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        recipe = BasesQuery.read(request.query_params)["recipe"]
        return Response(BaseSerializer(bases.offered(recipe), many=True).data)


def describe(recipe: catalogue.Recipe) -> dict[str, Any]:
    """A recipe with the JSON schema of its configuration; loads no torch."""
    return {
        "name": recipe.name,
        "title": recipe.title,
        "summary": recipe.summary,
        "modality": recipe.modality,
        "simulator": recipe.simulator,
        "bases": recipe.bases,
        "config": catalogue.config_class(recipe.name).model_json_schema(),
    }
