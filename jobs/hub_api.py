"""The hub itself on the API: figures, nodes, recipes."""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, OuterRef, Prefetch
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from engine import catalogue
from jobs import overview
from jobs.models import Attempt, Node, Slot
from jobs.serializers import NodeSerializer, RecipeSerializer, StatsSerializer
from jobs.states import ACTIVE

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


class NodesView(generics.ListAPIView):
    serializer_class = NodeSerializer
    filter_backends: list[type] = []

    def get_queryset(self) -> Any:
        running = Attempt.objects.filter(slot=OuterRef("pk"), ended_at__isnull=True)
        slots = Slot.objects.annotate(busy=Exists(running)).order_by("index")
        return Node.objects.prefetch_related(Prefetch("slots", slots)).order_by("name")

    @extend_schema(operation_id="training_nodes", tags=TAGS, summary="Machines with workers, and their slots")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


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


def describe(recipe: catalogue.Recipe) -> dict[str, Any]:
    """A recipe with the JSON schema of its configuration; loads no torch."""
    return {
        "name": recipe.name,
        "title": recipe.title,
        "summary": recipe.summary,
        "modality": recipe.modality,
        "simulator": recipe.simulator,
        "config": catalogue.config_class(recipe.name).model_json_schema(),
    }
