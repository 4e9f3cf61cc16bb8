"""`python -m engine spec.json` works alone, from any folder, and leaves nothing behind."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

from engine.protocol import EVENT_FIELDS, Event
from tests.engine.cast import ROOT, simulate_spec, temporary_files, text_spec


def run_alone(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "engine", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)


def test_events_go_to_standard_output_and_nothing_else_does(tmp_path: Path) -> None:
    spec = text_spec(tmp_path)
    path = tmp_path / "spec.json"
    path.write_text(spec.model_dump_json())

    done = run_alone(str(path))

    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    for event in events:
        assert set(event) == {"event", *EVENT_FIELDS[Event(event["event"])]}
    order = list(dict.fromkeys(e["event"] for e in events))
    assert order[:2] == ["started", "phase"] and order[-1] == "completed"
    phases = [e["phase"] for e in events if e["event"] == "phase"]
    assert phases == ["preparing", "training", "evaluating", "saving"]
    assert [e["step"] for e in events if e["event"] == "step"] == list(range(1, 61))


def test_the_listed_artifact_is_what_lies_there_and_nothing_temporary_is_left(tmp_path: Path) -> None:
    spec = simulate_spec(tmp_path)
    path = tmp_path / "spec.json"
    path.write_text(spec.model_dump_json())
    done = run_alone(str(path), "--no-control")
    listing = json.loads(done.stdout.splitlines()[-1])["artifact"]
    folder = spec.work_dir / "artifact"
    assert sorted(f["name"] for f in listing) == sorted(p.name for p in folder.iterdir())
    for file in listing:
        data = (folder / file["name"]).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (file["bytes"], file["sha256"])
    assert temporary_files(tmp_path) == []
    assert sorted(p.name for p in spec.work_dir.iterdir()) == ["artifact", "checkpoints"]


def test_the_hubs_packages_cannot_be_taken_for_others() -> None:
    code = (
        "from engine.isolation import block_hub_packages, HUB_PACKAGES; block_hub_packages()\n"
        "import importlib.util\n"
        "assert importlib.util.find_spec('datasets') is None\n"
        "for name in HUB_PACKAGES:\n"
        "    try: __import__(name)\n"
        "    except ImportError: continue\n"
        "    raise SystemExit(name + ' could be imported')\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_the_light_modules_load_no_torch() -> None:
    code = (
        "import sys\n"
        "from engine import catalogue, protocol, config\n"
        "for name in catalogue.RECIPES: catalogue.config_class(name)()\n"
        "heavy = {'torch', 'numpy', 'safetensors', 'PIL', 'django'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_the_simulator_needs_no_torch(tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    path.write_text(simulate_spec(tmp_path, steps=2).model_dump_json())
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom engine.run import start\n"
        "start(Path(sys.argv[1]), os.open(os.devnull, os.O_WRONLY), None)\n"
        "sys.exit('torch was loaded' if 'torch' in sys.modules else 0)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], cwd=ROOT, check=True)
