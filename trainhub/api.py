"""The API: what each app offers, its schema, a page to browse it, and an answer for every other address."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_not_required, login_required
from django.http import HttpRequest, HttpResponse
from django.urls import Resolver404, include, path, re_path, resolve
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.request import Request
from rest_framework.views import APIView

from common.errors import NotFoundError

# The page draws itself by script: styles are set from there, and small pictures come as data.
DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self' data:; connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)


@extend_schema(exclude=True)
class SchemaView(SpectacularAPIView):
    pass


class DocsView(SpectacularSwaggerSplitView):
    url_name = "api-schema"
    template_name = "trainhub/api_docs.html"

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        response.headers["Content-Security-Policy"] = DOCS_POLICY
        return response


class UnknownView(APIView):
    """Addresses that nothing answers: 401 for the anonymous, else 404, by every method."""

    schema = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        raise NotFoundError("There is nothing at this address.", "See /api/v1/docs for all addresses.")


@csrf_exempt
@login_not_required
def other(request: HttpRequest) -> HttpResponse:
    """An address with a slash too many is answered as the one without, since a redirect would lose a body."""
    trimmed = request.path_info.rstrip("/")
    if trimmed != request.path_info:
        try:
            match = resolve(trimmed)
        except Resolver404:
            match = None
        if match is not None and match.func is not other:
            request.resolver_match = match
            return match.func(request, *match.args, **match.kwargs)
    return UnknownView.as_view()(request)


version_1 = [
    # Predictions are asked for most often, and addresses are looked through in this order.
    path("", include("registry.serving.api_urls")),
    path("", include("accounts.api_urls")),
    path("", include("datasets.api_urls")),
    path("", include("registry.api_urls")),
    path("", include("registry.logged.api_urls")),
    path("", include("registry.promotion.api_urls")),
    path("", include("jobs.api_urls")),
    path("", include("jobs.schedule_api_urls")),
    path("", include("jobs.endpoints.api_urls")),
    path("", include("jobs.automatic.api_urls")),
    path("", include("history.api_urls")),
    path("", include("performance.api_urls")),
    path("", include("performance.retraining.api_urls")),
    path("", include("performance.experiments.api_urls")),
    path("", include("performance.alerts.api_urls")),
    path("", include("performance.notices.api_urls")),
    path("", include("performance.drift.api_urls")),
    path("schema", SchemaView.as_view(), name="api-schema"),
    path("docs", login_required(require_safe(DocsView.as_view())), name="api-docs"),
]

urlpatterns = [path("v1/", include(version_1)), re_path(r"^", other, name="api-other")]
