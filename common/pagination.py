"""Lists are {count, next, previous, results}, at most 200 rows a page."""

from __future__ import annotations

from typing import Any

from rest_framework.pagination import PageNumberPagination
from rest_framework.request import Request
from rest_framework.serializers import ValidationError

from common.serializers import unknown_names


class Pages(PageNumberPagination):
    """A list refuses what it can't be asked: a filter that is ignored would give rows that were not meant.

    A list can be asked for its page, what the view's `filterset_class` names, and the fields of its `query`, an Input.
    """

    page_size_query_param = "page_size"
    max_page_size = 200

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any] | None:
        filters = getattr(getattr(view, "filterset_class", None), "base_filters", {})
        fields = view.query().fields if getattr(view, "query", None) else {}
        if unknown := unknown_names(request.query_params, [*filters, *fields, *self.names()]):
            raise ValidationError(unknown)
        return super().paginate_queryset(queryset, request, view)

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The parameters by which a page is asked."""
        return (cls.page_query_param, cls.page_size_query_param)
