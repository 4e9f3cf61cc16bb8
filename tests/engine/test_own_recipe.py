"""The example of the documentation is a whole recipe: built, installed beside the hub, trained, and tried."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from engine.launch import engine_environment
from tests.engine.cast import ROOT, make_data, spec

EXAMPLE = ROOT / "docs" / "examples" / "own_recipe"
SPAM = ["win a prize now", "free money click", "prize money free", "click to win money now"]
HAM = ["see you at lunch", "the meeting is at noon", "lunch after the meeting", "see the report at noon"]
TRY = """
import json, sys
from pathlib import Path
from engine.catalogue import PROBLEMS, RECIPES, load
predictor = load(RECIPES["word-bag"].predictor).load(Path(sys.argv[1]))
print(json.dumps([PROBLEMS, predictor.predict(["free prize", "at lunch"])]))
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Where the package is on the path, as pip puts it there."""
    folder = tmp_path_factory.mktemp("own")
    shutil.copytree(EXAMPLE, folder / "source")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-build-isolation", "--no-deps", "--no-index",
           "--disable-pip-version-check", "--target", str(folder / "site"), str(folder / "source")]  # fmt: skip
    subprocess.run(pip, check=True, timeout=300)
    return engine_environment() | {"PYTHONPATH": f"{folder / 'site'}:{ROOT}"}


def test_it_trains_through_the_engine_and_answers(tmp_path, environment):
    texts = [(f"{label}/{n}.txt", label, "validation" if n == 3 else "train", f"{words} {n % 2}".encode())
             for label, some in (("spam", SPAM), ("ham", HAM)) for n, words in enumerate(some)]  # fmt: skip
    given = spec(tmp_path, "word-bag", {"epochs": 10, "batch_size": 3}, data=make_data(tmp_path, "text", texts))
    (tmp_path / "spec.json").write_text(given.model_dump_json())
    command = [sys.executable, "-P", "-m", "engine", str(tmp_path / "spec.json"), "--no-control"]
    done = subprocess.run(command, capture_output=True, timeout=300, env=environment, check=False)
    last = json.loads(done.stdout.splitlines()[-1])
    assert last["event"] == "completed", done.stderr.decode()
    assert last["metrics"]["validation/accuracy"] == 1.0
    assert "report.json" in {file["name"] for file in last["artifact"]}
    script = [sys.executable, "-P", "-c", TRY, str(given.work_dir / "artifact")]
    problems, answers = json.loads(subprocess.run(script, capture_output=True, timeout=300, env=environment).stdout)
    assert problems == [] and [answer["label"] for answer in answers] == ["spam", "ham"]


def test_it_is_no_recipe_where_it_is_not_installed():
    from engine.catalogue import RECIPES

    assert "word-bag" not in RECIPES
