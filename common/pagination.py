"""Lists are {count, next, previous, results}, at most 200 rows a page."""

from rest_framework.pagination import PageNumberPagination


class Pages(PageNumberPagination):
    page_size_query_param = "page_size"
    max_page_size = 200
