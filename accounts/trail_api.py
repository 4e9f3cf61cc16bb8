"""The audit trail on the API, for administrators."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import trail
from accounts.models import AuditEntry
from common.serializers import Input, TextField


class AuditQuery(Input):
    actor = TextField(max_length=150, required=False, help_text="A user's name; '-': what the hub did by itself.")
    verb = TextField(max_length=60, required=False, help_text="As it stands in the entries, such as `deleted`.")
    kind = TextField(max_length=60, required=False, help_text="What it was done to, such as `modelversion`.")
    object = TextField(max_length=60, required=False, help_text="Its id.")
    since = serializers.DateField(required=False, help_text="The first day.")
    until = serializers.DateField(required=False, help_text="The last day.")


class AuditEntrySerializer(serializers.ModelSerializer):
    actor = serializers.CharField(source="actor_name", help_text="Empty: the hub by itself.")
    object = serializers.CharField(source="object_id")
    details = serializers.SerializerMethodField()

    class Meta:
        model = AuditEntry
        fields = ["place", "at", "actor", "verb", "kind", "object", "name", "details", "previous_hash", "hash"]
        read_only_fields = fields

    def get_details(self, entry: AuditEntry) -> dict[str, Any]:
        return trail.details(entry)


class AuditView(generics.ListAPIView):
    serializer_class = AuditEntrySerializer
    queryset = AuditEntry.objects.none()
    filter_backends: list[type] = []
    query = AuditQuery

    def get_queryset(self) -> QuerySet[AuditEntry]:
        asked = {name: self.request.query_params[name] for name in trail.NAMES if name in self.request.query_params}
        return trail.entries(AuditQuery.read(asked))

    @extend_schema(
        operation_id="audit_list",
        tags=["administration"],
        summary="Who decided what, newest first",
        description="For administrators. Each entry's hash takes in the one before it.",
        parameters=[AuditQuery],
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        trail.check_reader(request.user)
        return super().get(request, *args, **kwargs)
