"""What fits into no device of the hub is refused when it is made, at every door, with the setting to change."""

import json
import re

import pytest
from django.utils import timezone

from common.errors import InvalidInputError
from jobs import blueprints, measurements, room
from jobs.creation import check_config, create_job
from jobs.models import Attempt, Job, Search, Slot
from jobs.needs import Needs
from jobs.search import verbs
from tests.api.conftest import Api
from tests.api.test_starting import ready
from tests.world import make_dataset, make_node, run

GIB = 1 << 30
LARGE = {"width": 4096, "layers": 48, "heads": 64}  # 154.6 GB of weights, gradients and averages
pytestmark = pytest.mark.django_db


@pytest.fixture
def small_hub(db):
    """One machine with 8 GiB."""
    return add_slot("small", "cpu", 8 * GIB)


def add_slot(name, device, memory, labels=(), **node):
    row = make_node(name, labels=list(labels), **node)
    return Slot.objects.create(
        node=row, index=row.slots.count(), device=device, queue=f"slot.{name}.{row.slots.count()}", memory_bytes=memory
    )


def ask(config=None, recipe="text-generation", dataset=None, version=None, **resources):
    room.check(recipe, check_config(recipe, config or LARGE), Needs.read(resources), dataset=dataset, version=version)


def refused(*given, **more):
    with pytest.raises(InvalidInputError) as failure:
        ask(*given, **more)
    return failure.value


def field_error(html, name):
    """What the form says below a field."""
    return re.search(rf'id="{re.escape(name)}-error"[^>]*>(?:<[^>]*>)*([^<]*)', html).group(1)


def test_it_says_what_it_takes_what_there_is_and_what_to_lower(small_hub):
    problem = refused()
    assert problem.message == (
        "It takes at least 144 GiB of memory, and the largest device that may run it has 8.0 GiB (cpu of small)."
    )
    assert problem.hint == "Lower 'Width' or lower 'Layers', or use a device with more memory."
    assert list(problem.fields) == ["config.width"]
    ask({"width": 128})


def test_a_machine_that_is_large_enough_is_enough_even_when_it_is_down(small_hub):
    add_slot("large", "cuda:0", 200 * GIB, devices=[{"kind": "cpu", "memory_bytes": 8 * GIB}])
    ask()
    ask(memory_gib=100)
    refused(device="cpu")


def test_where_a_machine_says_nothing_nothing_is_refused(small_hub):
    silent = add_slot("silent", "cuda:0", None)
    ask()
    silent.delete()
    refused()
    Slot.objects.all().delete()
    ask()


def test_only_machines_that_may_take_the_job_count(small_hub):
    add_slot("large", "cpu", 400 * GIB, labels=["big"])
    ask()
    ask(labels=["big"])
    Slot.objects.filter(node__name="small").update(enabled=False)
    add_slot("other", "cpu", 8 * GIB, labels=["slow"])
    refused(labels=["slow"])
    ask(labels=["nowhere"])  # it waits for such a machine, as ever


def test_a_job_for_the_cpu_on_the_host_of_a_gpu_has_the_memory_of_the_host():
    devices = [{"kind": "cpu", "memory_bytes": 400 * GIB}]
    add_slot("gpu", "cuda:0", 16 * GIB, devices=devices)
    ask(device="cpu")
    refused(device="cuda")
    refused()


def test_every_door_refuses_it(small_hub, owner, client):
    dataset = make_dataset(owner)
    api, body = Api(owner), {"recipe": "text-generation", "config": LARGE}
    answer = api.post_json("training/jobs", body | {"dataset": dataset.pk})
    assert answer.status_code == 400
    assert "144 GiB" in answer.json()["errors"]["config.width"][0] and "Lower 'Width'" in answer.json()["hint"]

    client.force_login(owner)
    typed = {"dataset": dataset.pk, "recipe": "text-generation", "settings_of": "text-generation"}
    typed |= {f"config.{name}": str(value) for name, value in LARGE.items()}
    page = client.post("/jobs/new", typed)
    html = page.content.decode()
    assert page.status_code == 400 and "the largest device that may run it has 8.0 GiB" in html
    assert 'id="config.width-error"' in html or "config.width-error" in html
    both = client.post("/jobs/new", typed | {"config.steps": "none"}).content.decode()
    assert "the largest device that may run it" in both or "Steps" in both

    with pytest.raises(InvalidInputError, match="144 GiB"):
        blueprints.check(owner, body | {"dataset": dataset.pk})
    template = api.post_json("training/templates", {"name": "Large", "request": body | {"dataset": dataset.pk}})
    assert template.status_code == 400

    space = {"learning_rate": {"low": 0.001, "high": 0.01}}
    with pytest.raises(InvalidInputError, match="144 GiB"):
        verbs.create(owner, recipe="text-generation", config=LARGE, space=space, dataset=dataset)

    started = api.post_json("training/start", body | {"subjects": [ready(owner, "Ada").pk]}).json()
    assert "144 GiB" in json.dumps(started)
    assert not Job.objects.exists() and not Search.objects.exists()


def test_what_a_trial_took_of_the_same_settings_and_data_counts(small_hub, owner, settings, tmp_path):
    settings.TRAINHUB_HOME = str(tmp_path)
    dataset, other = make_dataset(owner), make_dataset(owner, "Others")
    config = check_config("text-generation", {"width": 64})
    found = measurements.Found(1.0, 20 * GIB)
    measurements.keep("text-generation", measurements.exact(config, dataset.pk), "cpu", 1, found)
    problem = refused({"width": 64}, dataset=dataset)
    assert problem.message.startswith("A run with these settings took 20.0 GiB, and")
    assert list(problem.fields) == ["config.batch_size"]
    ask({"width": 64}, dataset=other)
    ask({"width": 72}, dataset=dataset)


def test_what_a_gpu_had_set_aside_counts_only_where_parts_are_fixed(owner, settings, tmp_path):
    settings.TRAINHUB_HOME = str(tmp_path)
    dataset = make_dataset(owner)
    add_slot("gpu", "cuda:0", 8 * GIB)
    for parts in ("auto", 2):
        config = check_config("text-generation", {"accumulate": parts})
        measurements.keep("text-generation", measurements.exact(config, dataset.pk), "cuda", 1,
                          measurements.Found(1.0, 20 * GIB))  # fmt: skip
    ask({"accumulate": "auto"}, dataset=dataset)
    assert "to auto" in refused({"accumulate": 2}, dataset=dataset).hint


def test_what_the_very_same_run_took_counts(small_hub, owner):
    first, _ = create_job(owner, recipe="text-generation", dataset=make_dataset(owner), config={"width": 64})
    attempt = run(first)
    Slot.objects.filter(node__name="n1").delete()
    assert attempt.devices == ["cpu"]
    ended = {"status": "completed", "completed_at": timezone.now(), "phase": "", "attempt_started_at": None}
    Job.objects.filter(pk=first.pk).update(**ended, figures={"system/memory_peak_bytes": 9.5 * GIB})
    ask({"width": 64})
    problem = refused({"width": 64}, version=first.dataset_version)
    assert problem.message.startswith("A run with these settings took 9.5 GiB")
    ask({"width": 64, "steps": 3}, version=first.dataset_version)
    Attempt.objects.update(devices=["cuda:0"])
    ask({"width": 64}, version=first.dataset_version)


def test_a_base_model_is_counted_by_its_files(small_hub, tmp_path, settings):
    settings.TRAINHUB_MODEL_FOLDERS = [str(tmp_path)]
    folder = tmp_path / "huge"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "llama", "architectures": ["LlamaForCausalLM"]}')
    (folder / "tokenizer.json").write_text("{}")
    tensor = {"dtype": "BF16", "shape": [65536, 65536], "data_offsets": [0, 2 << 32]}
    header = json.dumps({"model.layers.0.weight": tensor}).encode()
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    problem = refused({"base_model": "huge", "method": "full"})
    assert "64.0 GiB" in problem.message and list(problem.fields) == ["config.method"]
    assert problem.hint.startswith("Set 'Method' to lora or choose a smaller 'Base model'")
    problem = refused({"base_model": "huge", "method": "lora"})
    assert "16.0 GiB" in problem.message and list(problem.fields) == ["config.base_model"]
    ask({"base_model": "huge", "method": "qlora"})
