"""Deployments and predictions as the API shows and takes them."""

from __future__ import annotations

from rest_framework import serializers

from common.serializers import IdField, Input, TextField, WholeField
from engine.serving.orders import MAX_REPLICAS
from registry.models import Served
from registry.models.aliases import Name
from registry.serializers import PredictFilesInput, PredictInput


class ReplicaSerializer(serializers.Serializer):
    pid = serializers.IntegerField()
    ready = serializers.BooleanField()
    memory = serializers.IntegerField(help_text="Bytes that it holds for itself.")
    requests = serializers.IntegerField()


class ServedSerializer(serializers.ModelSerializer):
    replicas = ReplicaSerializer(many=True)

    class Meta:
        model = Served
        fields = ["node", "state", "message", "hint", "replicas", "memory_bytes", "requests", "restarts", "heard_at"]
        read_only_fields = fields


class DeploymentSerializer(serializers.Serializer):
    id = serializers.IntegerField(source="deployment.pk")
    model = serializers.IntegerField(source="deployment.model_id")
    alias = serializers.CharField(source="deployment.alias", help_text="Empty: it is of one version.")
    version = serializers.IntegerField(source="version.pk", default=None, allow_null=True,
                                       help_text="The version that it means now.")  # fmt: skip
    replicas = serializers.IntegerField(source="deployment.replicas", help_text="How many there shall be.")
    state = serializers.CharField(help_text="ready, loading, unloaded, failed or waiting.")
    message = serializers.CharField()
    hint = serializers.CharField()
    ready_replicas = serializers.IntegerField(source="ready")
    memory_bytes = serializers.IntegerField()
    requests = serializers.IntegerField(help_text="Since it was loaded.")
    restarts = serializers.IntegerField()
    served = ServedSerializer(many=True, help_text="By node.")
    by = serializers.CharField(source="deployment.created_by.username")
    created_at = serializers.DateTimeField(source="deployment.created_at")
    ended_at = serializers.DateTimeField(source="deployment.ended_at", allow_null=True)


class DeployInput(Input):
    replicas = WholeField(
        min_value=1, max_value=MAX_REPLICAS, required=False, help_text="Processes that each hold the model; 1."
    )


class DeployNameInput(DeployInput):
    alias = serializers.ChoiceField(choices=Name.choices, required=False, help_text="champion, unless it is said.")


class AskInput(PredictInput):
    stream = serializers.BooleanField(
        required=False, help_text="Tell a text piece by piece, as server-sent events: `piece`, then `done`."
    )


class About(serializers.Serializer):
    """What a request to a model may say of itself."""

    alias = serializers.ChoiceField(choices=Name.choices, required=False, help_text="champion, unless it is said.")
    key = TextField(
        required=False,
        allow_blank=True,
        help_text="Whom it is about: one key is always answered by one version of a test.",
    )
    group = TextField(max_length=100, required=False, allow_blank=True, help_text="What figures may be told apart by.")
    subject = IdField(required=False, help_text="The subject that it is about.")


class AskModelInput(About, AskInput):
    pass


class AskModelFilesInput(About, PredictFilesInput):
    pass
