"""Which subjects can be trained, what it would take, and one request that starts many."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView

from common.access import get_visible
from common.errors import NotFoundError
from datasets.freezing import sizes, versions
from datasets.models import Dataset, DatasetVersion, EligibilityPolicy, Modality, Subject
from datasets.subjects import eligibility
from jobs import bases, estimates, measuring, starting
from jobs.api import IDEMPOTENCY_KEY, idempotency_key
from jobs.candidates import Candidate, candidates
from jobs.creation import check_config, check_data
from jobs.models import JobTemplate
from jobs.subject_inputs import (
    CandidatePageSerializer,
    CandidateSerializer,
    EligibleQuery,
    EstimatedSerializer,
    EstimateInput,
    MeasuredSerializer,
    StartedSerializer,
    StartInput,
    StartResultSerializer,
    estimate_json,
    summed,
)
from registry.models import ModelVersion

TAGS = ["training subjects"]


def chosen_policy(key: str) -> EligibilityPolicy | None:
    """The named policy; None for each subject's own."""
    return eligibility.find_policy(key) if key.strip() else None


def sorted_by(found: list[Candidate], ordering: str) -> list[Candidate]:
    """By a name, a figure or the expected seconds; what is not known comes last, whichever the direction."""
    key, down = ordering.removeprefix("-"), ordering.startswith("-")

    def value(one: Candidate) -> Any:
        if key == "name":
            return one.subject.name.lower()
        return one.estimate.seconds if key == "seconds" else getattr(one.figures, key)

    known = sorted((one for one in found if value(one) is not None), key=value, reverse=down)
    return known + [one for one in found if value(one) is None]


class EligibleSubjectsView(APIView):
    @extend_schema(
        operation_id="training_eligible_subjects", tags=TAGS, summary="Subjects: who can be trained, and why not",
        parameters=[EligibleQuery], responses=CandidatePageSerializer,
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        asked = EligibleQuery.read(request.query_params)
        rows: QuerySet[Subject] = eligibility.visible_subjects(request.user).order_by("name", "id")
        if asked["search"]:
            rows = rows.filter(name__icontains=asked["search"])
        if asked["kind"]:
            rows = rows.filter(kind=asked["kind"])
        found = candidates(list(rows), asked["recipe"], chosen_policy(asked["policy"]))
        eligible = sum(one.eligible for one in found)
        for name in ("eligible", "ready"):
            if asked[name] is not None:
                found = [one for one in found if getattr(one, name) is asked[name]]
        return Response(_page(request, sorted_by(found, asked["ordering"]), asked) | {"eligible_count": eligible})


def _page(request: Request, found: list[Candidate], asked: dict[str, Any]) -> dict[str, Any]:
    number, size = asked["page"], asked["page_size"]
    first = (number - 1) * size
    if number > 1 and first >= len(found):
        raise NotFoundError(f"There is no page {number}.", f"There are {-(-len(found) // size)} pages.")
    here = request.build_absolute_uri()
    return {
        "count": len(found),
        "next": replace_query_param(here, "page", number + 1) if first + size < len(found) else None,
        "previous": replace_query_param(here, "page", number - 1) if number > 1 else None,
        "results": CandidateSerializer(found[first : first + size], many=True).data,
    }


class StartView(APIView):
    @extend_schema(
        operation_id="training_start", tags=TAGS, summary="Start a job for each of many subjects",
        description="A subject's job trains on the one ready dataset of the recipe's kind that is about it. Subjects "
        "that are not eligible, have no such dataset, are busy or over a limit are refused with the reason; the others "
        "start all the same. With an Idempotency-Key a subject has one job however often the request is sent.",
        parameters=[
            OpenApiParameter("Idempotency-Key", str, OpenApiParameter.HEADER, description=IDEMPOTENCY_KEY.description)
        ],
        request=StartInput,
        responses={
            201: StartResultSerializer,
            200: OpenApiResponse(StartResultSerializer, "No new job was made."),
        },
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        given = StartInput.read(request.data)
        keys = given.pop("subjects", None) or [given.pop("subject")]
        given.pop("subject", None)
        key = idempotency_key(request)
        if (template := given.pop("template", None)) is not None:
            given["template"] = get_visible(JobTemplate.objects.all(), request.user, pk=template)
        given["policy"] = chosen_policy(given["policy"])
        done = starting.start(request.user, find_subjects(request.user, keys), key=key, **given)
        body = {
            "started": sum(one.job is not None for one in done),
            "refused": sum(one.job is None for one in done),
            "results": StartedSerializer(done, many=True).data,
        }
        return Response(body, status=201 if any(one.created for one in done) else 200)


def find_subjects(user: Any, keys: list[int]) -> list[Subject]:
    """The subjects in the order of `keys`. NotFoundError names one that does not exist for the one who asks."""
    rows = {row.pk: row for row in eligibility.visible_subjects(user).filter(pk__in=keys)}
    missing = next((key for key in keys if key not in rows), None)
    if missing is not None:
        raise NotFoundError(
            f"There is no subject {missing} for you.", "Check the ids. It may have been deleted or merged."
        )
    return [rows[key] for key in dict.fromkeys(keys)]


class EstimateView(APIView):
    @extend_schema(
        operation_id="training_estimate", tags=TAGS, summary="How long a job will take and what it will cost",
        description="By runs of the same recipe, size and kind of device that completed, else by the latest trial of "
        "such a run; with `measure` one is made first, on a machine with a node.",
        request=EstimateInput, responses=EstimatedSerializer,
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        given = EstimateInput.read(request.data)
        recipe, config, resources = given["recipe"], given.get("config"), given.get("resources")
        if given.get("subjects"):
            found = candidates(find_subjects(request.user, given["subjects"]), recipe, None, config, resources)
            return Response(summed(found))
        version, examples = self._data(request, given)
        checked = check_config(recipe, config or {})
        base = self._base(request, recipe, given.get("base_version"))
        measured = self._measure(request, given, checked, version, examples, base) if given["measure"] else {}
        about = {"examples": examples, "resources": resources, "base_version": base.pk if base else None}
        guess = estimates.estimate(recipe, checked, version, **about)
        return Response(estimate_json(guess) | measured)

    def _measure(
        self, request: Request, given: dict[str, Any], config: dict[str, Any], version: DatasetVersion | None,
        examples: int | None, base: ModelVersion | None,
    ) -> dict[str, Any]:  # fmt: skip
        bases.check_one(given["recipe"], config, base)
        key = given.get("dataset") if version is None else None
        dataset = get_visible(Dataset.objects.all(), request.user, pk=key) if key is not None else None
        data = {"dataset": dataset, "version": version, "examples": examples, "resources": given.get("resources")}
        data["base_version"] = base
        return {"trial": MeasuredSerializer(measuring.measure(given["recipe"], config, **data)).data}

    def _base(self, request: Request, recipe: str, key: int | None) -> ModelVersion | None:
        if key is None:
            return None
        rows = ModelVersion.objects.select_related("model")
        base: ModelVersion = get_visible(rows, request.user, "model__owner", pk=key)
        bases.check_version(recipe, base)
        return base

    def _data(self, request: Request, given: dict[str, Any]) -> tuple[DatasetVersion | None, int | None]:
        """The version, or how many examples there would be to train on."""
        if (key := given.get("dataset_version")) is not None:
            found = DatasetVersion.objects.select_related("dataset")
            version = get_visible(found, request.user, "dataset__owner", pk=key)
            check_data(request.user, given["recipe"], None, version)
            return version, None
        if (key := given.get("dataset")) is not None:
            dataset = get_visible(Dataset.objects.all(), request.user, pk=key)
            check_data(request.user, given["recipe"], dataset, None)
            if dataset.modality == Modality.TABLE:
                return None, sizes.rows_of([dataset.pk])[dataset.pk]
            counts = versions.preview_split(dataset, validation_fraction=given["validation_fraction"])
            return None, counts["train"]
        return None, given.get("examples")
