"""What the gates' form takes for a number is one that the database can hold."""

import pytest

from tests.world import make_dataset


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e999", "9" * 5000, "0x1f"])
def test_what_only_looks_like_a_number_is_kept_as_it_was_typed(page, owner, text):
    dataset = make_dataset(owner)
    answer = page.post(
        f"/datasets/{dataset.pk}/gates/change", {"approvals": "0", "more": f"weight: {text}"}, follow=True
    )
    assert answer.status_code in {200, 400}
    dataset.refresh_from_db()
    assert dataset.metadata.get("weight", text) == text
