"""A version's reproductions on the API."""

from __future__ import annotations

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.serializers import Input
from jobs import reproducing
from jobs.models import Reproduction
from registry.access import get_version

TAGS = ["models"]


class ReproductionSerializer(serializers.ModelSerializer):
    version = serializers.IntegerField(source="version_id")
    job = serializers.IntegerField(source="job_id")
    status = serializers.CharField(source="job.status", help_text="Of its job.")
    asked_by = serializers.CharField(source="asked_by.username")
    result = serializers.DictField(
        allow_null=True,
        help_text="`metrics` (name, before, after), `files` (how many), `different_files`, `weights` (which files hold "
        "them), `others` (name, before, after: what was otherwise where it ran). Null: it has not completed.",
    )

    class Meta:
        model = Reproduction
        fields = ["id", "version", "job", "status", "asked_by", "asked_at", "same_metrics", "same_weights", "result"]
        read_only_fields = fields


class ReproduceView(APIView):
    @extend_schema(
        operation_id="versions_reproduce",
        tags=TAGS,
        summary="Train a version once more, to see whether the same comes out",
        description="The same recipe, settings, data version, base, seed and kind of device. The run makes no version; "
        "as it completes, figures and the SHA-256 of each file are compared.",
        request=None,
        responses={201: ReproductionSerializer},
    )
    def post(self, request: Request, version_id: int) -> Response:
        Input.read(request.data)
        made = reproducing.reproduce(get_version(request.user, version_id), request.user)
        return Response(ReproductionSerializer(made).data, status=201)


class ReproductionsView(generics.ListAPIView):
    serializer_class = ReproductionSerializer
    queryset = Reproduction.objects.none()
    filter_backends: list[type] = []

    def get_queryset(self) -> QuerySet[Reproduction]:
        version = get_version(self.request.user, self.kwargs["version_id"])
        return Reproduction.objects.filter(version=version).select_related("job", "asked_by").order_by("-id")

    @extend_schema(
        operation_id="versions_reproductions", tags=TAGS, summary="How a version was reproduced, newest first"
    )
    def get(self, request: Request, *args: object, **kwargs: object) -> Response:
        return super().get(request, *args, **kwargs)
