"""Pages that are found by ids hold the same rows as pages of the plain list."""

from __future__ import annotations

import pytest
from django.core.paginator import Paginator
from django.db import connection
from django.test.utils import CaptureQueriesContext

from common.by_id import ById
from jobs.models import Job
from tests.world import make_job


@pytest.fixture
def eleven(owner):
    jobs = [make_job(owner, name=f"Job {number % 4}") for number in range(11)]
    for number, job in enumerate(jobs[:6]):
        Job.objects.filter(pk=job.pk).update(current_loss=number % 3)
    return Job.objects.select_related("owner")


@pytest.mark.parametrize(
    "order", [["-created_at", "-id"], ["name", "-id"], ["-current_loss", "-id"], ["current_loss", "id"]]
)
@pytest.mark.parametrize("size", [1, 3, 4, 11, 50])
def test_each_page_is_that_of_the_plain_list(eleven, order, size):
    rows = eleven.order_by(*order)
    plain, by_id = Paginator(rows, size), ById(rows, size)
    assert by_id.num_pages == plain.num_pages
    for number in plain.page_range:
        assert list(by_id.page(number)) == list(plain.page(number)), (order, size, number)


def test_the_last_page_is_found_from_the_end(eleven):
    pages = ById(eleven.order_by("-created_at", "-id"), 2)
    assert pages.count == 11
    with CaptureQueriesContext(connection) as asked:
        assert len(list(pages.page(6))) == 1
    ids = asked[0]["sql"]
    assert '"jobs_job"."created_at" ASC' in ids and "OFFSET" not in ids and "LIMIT 1" in ids


def test_an_empty_list_has_one_empty_page(db):
    assert list(ById(Job.objects.order_by("id"), 5).get_page("7")) == []
