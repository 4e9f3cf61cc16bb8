"""The registry of checks: what it says is what the guide says, and what is found is in it."""

import re
from pathlib import Path

from django.conf import settings

from common.paths import PROJECT
from datasets.management.commands.quality_checks import written
from datasets.models import Modality
from datasets.quality.codes import CHECKS, suiting


def test_the_guide_lists_the_checks_as_they_are():
    text = (Path(settings.BASE_DIR) / "docs" / "data.md").read_text(encoding="utf-8")
    assert text == written(text), "Run: python manage.py quality_checks"


def test_every_code_that_is_found_is_registered_and_every_registered_code_is_found():
    source = "".join(path.read_text() for path in (PROJECT / "datasets" / "quality").glob("*.py"))
    named = set(re.findall(r'Found\(\s*"([a-z_]+)"', source))
    of_rows = {check.code for check in CHECKS.values() if check.of_rows}
    assert named <= set(CHECKS)
    assert set(CHECKS) - named <= of_rows


def test_every_check_says_what_it_means_and_what_can_be_done():
    for check in CHECKS.values():
        assert re.fullmatch(r"[a-z_]{1,40}", check.code)
        assert 0 < check.points <= 100 and check.title and check.means.endswith(".") and check.remedy.endswith(".")
        assert set(check.kinds) <= set(Modality.values)
    assert all(suiting(kind) for kind in Modality.values)
