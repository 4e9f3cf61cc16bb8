"""The hub itself as the API shows and takes it: nodes, limits, recipes, figures."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field, inline_serializer
from rest_framework import serializers

from common.numbers import finite
from common.serializers import IdField, Input, TextField, WholeField
from engine.catalogue import RECIPES
from jobs.limits import MOST
from jobs.models import Limit, Node, NodeEvent, Slot

MEASURED = ("utilization_percent", "memory_used_bytes", "memory_total_bytes", "temperature_celsius", "power_watts")
DEVICE = inline_serializer(
    "Device",
    {
        "kind": serializers.CharField(help_text="gpu or cpu"),
        "index": serializers.IntegerField(),
        "name": serializers.CharField(),
        "memory_bytes": serializers.IntegerField(allow_null=True),
        "uuid": serializers.CharField(allow_null=True, help_text="GPUs only."),
        "cores": serializers.IntegerField(allow_null=True, help_text="CPUs only."),
        **{name: serializers.FloatField(allow_null=True, help_text="Null: not measured.") for name in MEASURED},
    },
    many=True,
)


class SlotSerializer(serializers.ModelSerializer):
    busy = serializers.BooleanField(help_text="It runs a job, yours or another's.")
    job = serializers.SerializerMethodField(help_text="The job that it runs, where you may see it.")

    class Meta:
        model = Slot
        fields = ["index", "device", "memory_bytes", "enabled", "busy", "job"]

    def get_job(self, slot: Slot) -> int | None:
        user = self.context["request"].user
        seen = user.is_staff or slot.running_owner == user.pk  # type: ignore[attr-defined]
        return slot.running_job if seen else None  # type: ignore[attr-defined]


class NodeSerializer(serializers.ModelSerializer):
    """A machine with workers. Only the job ids of its slots depend on who asks."""

    is_up = serializers.BooleanField(help_text="It was heard of lately.")
    is_set_aside = serializers.BooleanField(help_text="It failed job after job; see the reason, and until when.")
    takes_jobs = serializers.BooleanField(help_text="It is up, not draining and not set aside.")
    labels = serializers.ListField(child=serializers.CharField())
    versions = serializers.DictField(child=serializers.CharField(), help_text="Python, torch, driver … → version.")
    devices = serializers.SerializerMethodField(help_text="Each with its latest figures.")
    figures = serializers.DictField(help_text="Latest use of the machine and its devices, as measured.")
    slots = SlotSerializer(many=True)

    class Meta:
        model = Node
        fields = [
            "id", "name", "state", "is_up", "takes_jobs", "draining", "is_set_aside", "set_aside_until",
            "set_aside_reason", "labels", "version", "versions", "devices", "figures", "slots", "started_at",
            "heartbeat_at",
        ]  # fmt: skip

    @extend_schema_field(DEVICE)
    def get_devices(self, node: Node) -> list[dict[str, Any]]:
        return [device | _measured(device, node.figures) for device in node.devices]

    def to_representation(self, instance: Node) -> dict[str, Any]:
        return finite(super().to_representation(instance))


def _measured(device: dict[str, Any], figures: dict[str, Any]) -> dict[str, Any]:
    """A device's figures by the same names for GPUs and CPUs; None for what was not measured."""
    if device.get("kind") == "gpu":
        return {name: figures.get(f"gpu/{device.get('index')}/{name}") for name in MEASURED}
    found: dict[str, Any] = dict.fromkeys(MEASURED)
    found["utilization_percent"] = figures.get("system/cpu_percent")
    total, used = device.get("memory_bytes"), figures.get("system/host_memory_percent")
    if total is not None and used is not None:
        found |= {"memory_total_bytes": total, "memory_used_bytes": round(total * used / 100)}
    return found


class NodeEventSerializer(serializers.ModelSerializer):
    actor = serializers.CharField(source="actor.username", default=None, allow_null=True)

    class Meta:
        model = NodeEvent
        fields = ["at", "kind", "actor", "message"]


class NodeDetailSerializer(NodeSerializer):
    events = NodeEventSerializer(many=True, source="recent_events", help_text="The newest first.")

    class Meta(NodeSerializer.Meta):
        fields = [*NodeSerializer.Meta.fields, "events"]


class NumbersSerializer(serializers.ModelSerializer):
    """Null is no limit."""

    class Meta:
        model = Limit
        fields = ["max_running", "max_active"]


class UserLimitSerializer(NumbersSerializer):
    user = serializers.CharField(source="user.username")

    class Meta(NumbersSerializer.Meta):
        fields = ["user", *NumbersSerializer.Meta.fields]


class SubjectLimitSerializer(NumbersSerializer):
    subject = serializers.IntegerField(source="subject_id")
    name = serializers.CharField(source="subject.name")

    class Meta(NumbersSerializer.Meta):
        fields = ["subject", "name", *NumbersSerializer.Meta.fields]


class LimitsSerializer(serializers.Serializer):
    """How many jobs may run (`max_running`), and wait or run (`max_active`), at a time."""

    default = NumbersSerializer(help_text="For every user who is not named in `users`.")
    users = UserLimitSerializer(many=True)
    subjects = SubjectLimitSerializer(many=True)


class NumbersInput(Input):
    max_running = WholeField(required=False, allow_null=True, default=None, max_value=MOST)
    max_active = WholeField(required=False, allow_null=True, default=None, max_value=MOST)


class UserLimitInput(NumbersInput):
    user = TextField(max_length=150, help_text="The user's name.")


class SubjectLimitInput(NumbersInput):
    subject = IdField()
    name = TextField(required=False, help_text="As it is shown, so that limits can be sent back; the id counts.")


class LimitsInput(Input):
    default = NumbersInput(required=False)
    users = serializers.ListField(child=UserLimitInput(), required=False, max_length=10_000)
    subjects = serializers.ListField(child=SubjectLimitInput(), required=False, max_length=10_000)


class RecipeSerializer(serializers.Serializer):
    name = serializers.CharField()
    title = serializers.CharField()
    summary = serializers.CharField()
    modality = serializers.CharField(allow_null=True, help_text="What its dataset holds; null: it needs none.")
    simulator = serializers.BooleanField(help_text="It trains nothing.")
    bases = serializers.BooleanField(help_text="It can start from a version, or from a model folder of the hub.")
    config = serializers.DictField(help_text="JSON schema of the configuration.")


class BasesQuery(Input):
    recipe = serializers.ChoiceField(
        choices=[name for name, recipe in RECIPES.items() if recipe.bases],
        required=False,
        default=None,
        allow_null=True,
        help_text="Those that it can start from; without it all.",
    )


class BaseSerializer(serializers.Serializer):
    name = serializers.CharField(help_text="What `base_model` in the configuration of a job says.")
    kind = serializers.CharField(help_text="What its configuration calls itself, such as llama.")
    bytes = serializers.IntegerField(help_text="Of its weights.")


class StatsSerializer(serializers.Serializer):
    jobs = serializers.DictField(child=serializers.IntegerField(), help_text="Status → how many.")
    active = serializers.IntegerField()
    slots_free = serializers.IntegerField()
    slots_busy = serializers.IntegerField()
    week = serializers.DictField(help_text="Figures of the last seven days.")
