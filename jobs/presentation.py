"""What the pages of a job show beyond its columns: what can be done, figures of devices, marks of the chart."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from common import wording
from engine.catalogue import RECIPES, config_class
from jobs.generation.shown import makes_examples
from jobs.models import Attempt, Job, MetricSeries, ProgressRow
from jobs.needs import Needs
from jobs.progress import WAITING
from jobs.states import REQUEST_RANK, Priority, Request, Status

SPARK_POINTS = 48
MUCH_WAITING = 0.2  # share of the training time in which the device waits for data
# Settings that decide how long a batch takes to be made ready, with what helps.
DATA_CURES = {
    "workers": "more", "loaders": "more", "augmentation": "less", "image_size": "a smaller", "frames": "fewer",
    "batch_size": "a larger",
}  # fmt: skip
NAMED = 4  # jobs that a dialog names


@dataclass(frozen=True)
class Action:
    """Something that a person may do with a job now. `asks`: a dialog says what will be lost."""

    name: str
    label: str
    icon: str
    style: str = "btn-plain"
    asks: bool = False
    bare: bool = False  # the icon is enough to see; the label is there to hear


TOP = Action("top", "To the top", "arrow-top")
UP = Action("up", "Up", "arrow-up", bare=True)
DOWN = Action("down", "Down", "arrow-down", bare=True)
CHECKPOINT = Action("checkpoint", "Save a checkpoint", "flag")
START_NOW = Action("start_now", "Start now", "player-play", "btn-primary")
PAUSE = Action("pause", "Pause", "player-pause")
RESUME = Action("resume", "Resume", "player-play", "btn-primary")
RETRY = Action("retry", "Retry", "refresh", "btn-primary")
AGAIN = Action("again", "Run again exactly", "refresh")
CANCEL = Action("cancel", "Cancel", "x", "btn-red", asks=True)

ACTIONS: dict[Status, tuple[Action, ...]] = {
    Status.PENDING: (START_NOW, PAUSE, CANCEL),
    Status.QUEUED: (TOP, UP, DOWN, PAUSE, CANCEL),
    Status.RUNNING: (CHECKPOINT, PAUSE, CANCEL),
    Status.PAUSED: (RESUME, CANCEL),
    Status.COMPLETED: (AGAIN,),
    Status.FAILED: (RETRY, AGAIN),
    Status.CANCELLED: (RETRY, AGAIN),
}


MOVES = (TOP, UP, DOWN)


def actions(job: Job, moves: bool = True) -> list[Action]:
    """What may be done now; a wish that waits for its safe point can't be wished again, nor a weaker one."""
    movable = moves and not job.interrupted  # an interrupted one goes before all others anyway
    allowed = [action for action in ACTIONS[Status(job.status)] if movable or action not in MOVES]
    wish = REQUEST_RANK[Request(job.request)]
    wishes = {action.name: REQUEST_RANK[Request(action.name)] for action in allowed if action.name in Request.values}
    return [
        action for action in allowed if job.status != Status.RUNNING or wishes.get(action.name, len(Request)) > wish
    ]


def said(action: str, job: Job) -> str:
    """What happened after an action, and what comes next."""
    name = f"'{job.name}'"
    if job.status == Status.RUNNING and job.request:
        return f"{name} {WISHES[Request(job.request)]}"
    if job.status == Status.PENDING and action in {"resume", "retry"}:
        return f"{name} waits again. {job.waiting_for}"
    return {
        "cancel": f"{name} is cancelled.",
        "pause": f"{name} is paused. Resume it when you want it to go on.",
        "resume": f"{name} is back in the queue and goes on from its checkpoint.",
        "retry": f"{name} is in the queue again.",
        "checkpoint": f"{name} saves a checkpoint and goes on.",
        "start_now": f"{name} is in the queue and starts as soon as a device is free.",
        "change": f"{name} is changed.",
    }[action]


def said_of_move(action: str, job: Job, moved: bool, place: int | None, everyones: bool) -> str:
    """Where a job stands after it was moved; `place` counts from 1, None when it has just left the queue.

    `everyones`: it was moved among everyone's jobs, not only its owner's.
    """
    name = f"'{job.name}'"
    if place is None:
        return f"{name} is no longer in the queue: a worker has taken it."
    if moved:
        return f"{name} is number {place:,} in line now."
    end = "last" if action == "down" else "first"
    whose = "" if everyones else "your jobs of "
    level = priority(job.priority).lower()
    level = f"{level} priority" if job.priority in Priority.values else f"priority {level}"
    return f"{name} is already the {end} of {whose}{level} and stays number {place:,} in line."


def said_of_many(action: str, jobs: list[Job]) -> str:
    """What happened to several jobs, and what comes next; those that run are told apart from those that waited."""
    asked = sum(action in TOLD and job.status == Status.RUNNING and bool(job.request) for job in jobs)
    done = len(jobs) - asked
    told = []
    if asked:
        told.append(f"{_jobs(asked)} {'is' if asked == 1 else 'are'} told to {TOLD[action]} at the next safe point.")
    if done:
        told.append(f"{_jobs(done)} {'is' if done == 1 else 'are'} {DONE[action]}.")
    return " ".join(told)


def _jobs(count: int) -> str:
    return f"{count:,} {'job' if count == 1 else 'jobs'}"


WISHES = {
    Request.CANCEL: "is being cancelled: it stops at the next safe point.",
    Request.PAUSE: "is being paused: it saves a checkpoint, then frees its device.",
    Request.PREEMPT: "gives way to a higher priority: it saves a checkpoint and goes back to its place in the queue.",
    Request.CHECKPOINT: "saves a checkpoint at the next step and goes on.",
}
TOLD = {"checkpoint": "save a checkpoint", "pause": "pause", "cancel": "stop"}
DONE = {
    "cancel": "cancelled",
    "pause": "paused; resume when it suits you",
    "resume": "back in the queue, each from its checkpoint",
    "retry": "in the queue again",
    "checkpoint": "saving a checkpoint",
    "start_now": "in the queue now",
    "up": "one place further up",
    "down": "one place further down",
    "top": "at the top of the priority",
    "priority": "changed; each stands at the end of its new priority",
}


def priority(value: int) -> str:
    """A named level by its name, any other priority as the number."""
    return Priority(value).label if value in Priority.values else f"{value:,}"


def losses_of_cancelling(job: Job) -> list[str]:
    """What is lost when this job is cancelled, in words."""
    if makes_examples(job):
        return _losses_of_examples(job)
    if not job.current_step:
        return ["It has not begun to train, so nothing is lost but its place in the queue."]
    done = f"It is at step {job.current_step:,}" + (f" of {job.total_steps:,}" if job.total_steps else "")
    spent = wording.duration(job.elapsed_seconds())
    return [f"{done}, after {spent} of training.", "Its checkpoints are removed, and no model version is made."]


def _losses_of_examples(job: Job) -> list[str]:
    if not job.current_step:
        return ["It has made nothing yet, so nothing is lost but its place in the queue."]
    done = f"It has made {_share_of_examples(job)}, in {wording.duration(job.elapsed_seconds())}."
    if job.save_to:
        return [done, f"Those that it kept go to '{job.save_to.name}'. The others that were asked for are not made."]
    again = "A retry begins at the first one anew, and takes them away."
    return [done, f"Those that it kept stay with the run. The others that were asked for are not made. {again}"]


def _share_of_examples(job: Job) -> str:
    asked = job.total_steps or job.config.get("examples") or job.current_step
    return f"{job.current_step:,} of {asked:,} examples"


def _lost(job: Job) -> str:
    """The same in one sentence, among others."""
    if not makes_examples(job):
        return f"'{job.name}' is at step {job.current_step:,}; its checkpoints are removed."
    kept = f"go to '{job.save_to.name}'" if job.save_to else "stay with it"
    return f"'{job.name}' has made {_share_of_examples(job)}; those that it kept {kept}."


def question_of_many(jobs: list[Job]) -> dict[str, Any]:
    """What a dialog says before these jobs are cancelled; those that got furthest come first."""
    begun = [job for job in jobs if job.current_step]
    lines = [_lost(job) for job in begun[:NAMED]]
    if len(begun) > NAMED:
        lines.append(f"{_jobs(len(begun) - NAMED)} more have begun, and lose their checkpoints, too.")
    if waiting := len(jobs) - len(begun):
        lines.append(f"{_jobs(waiting)} {'has' if waiting == 1 else 'have'} not begun: only the place in line is lost.")
    label = "Cancel the job" if len(jobs) == 1 else f"Cancel {_jobs(len(jobs))}"
    button = {"button": label} if jobs else {}
    lines = lines or ["The chosen jobs have all ended."]
    return {"title": f"{label}?", "lines": lines, "keep": "Let them go on", "icon_name": "x", **button}


def device_figures(job: Job) -> list[tuple[str, str]]:
    """(label, figure) of what the run uses now; what can't be measured is absent."""
    given: dict[str, float | None] = job.figures or {}
    shown: list[tuple[str, str]] = []
    for index in sorted({name.split("/")[1] for name in given if name.startswith("gpu/")}):
        gpu = {name.rsplit("/", 1)[1]: value for name, value in given.items() if name.startswith(f"gpu/{index}/")}
        if (use := gpu.get("utilization_percent")) is not None:
            shown.append((f"GPU {index}", f"{use:.0f} %"))
        if (used := gpu.get("memory_used_bytes")) is not None:
            total = gpu.get("memory_total_bytes")
            shown.append((f"GPU {index} memory", wording.size(used) + (f" / {wording.size(total)}" if total else "")))
        if (heat := gpu.get("temperature_celsius")) is not None:
            shown.append((f"GPU {index} heat", f"{heat:.0f} °C"))
    if (cpu := given.get("system/cpu_percent")) is not None:
        shown.append(("CPU", f"{cpu:.0f} %"))
    if (memory := given.get("system/memory_bytes")) is not None:
        shown.append(("Memory", wording.size(memory)))
    if (share := given.get(WAITING)) is not None:
        shown.append(("Waiting for data", f"{100 * share:.0f} %"))
    return shown


def slow_data(job: Job) -> str:
    """What to change when a running job's device waits for its data; empty when it does not."""
    share = (job.figures or {}).get(WAITING)
    if job.status != Status.RUNNING or share is None or share <= MUCH_WAITING:
        return ""
    fields = config_class(job.recipe).model_fields if job.recipe in RECIPES else {}
    cures = [f"{words} '{fields[name].title}'" for name, words in DATA_CURES.items() if name in fields]
    advice = (
        f"To speed it up, start it with {' or '.join(cures)}." if cures else "A node with more cores would be faster."
    )
    return f"For {100 * share:.0f} % of the time the device waits for data to be made ready. {advice}"


def sparklines(jobs: Iterable[Job], name: str = "train/loss") -> dict[int, list[float]]:
    """Some fifty values of each running job's curve, by the job's id: evenly spread steps, found by their keys."""
    running = {job.pk: job for job in jobs if job.status == Status.RUNNING and job.current_step > 1}
    found: dict[int, list[float]] = {}
    for series in MetricSeries.objects.filter(job__in=running, name=name):
        last = running[series.job_id].current_step
        stride = max(1, last // SPARK_POINTS)
        rows = ProgressRow.objects.filter(series=series, step__in=range(stride, last + 1, stride), value__isnull=False)
        found[series.job_id] = list(rows.order_by("step").values_list("value", flat=True))
    return found


def charts(names: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    """Metrics by what one chart shows together: {'loss': [train/loss, validation/loss], …}, loss first."""
    groups: dict[str, list[dict[str, Any]]] = {}
    words = {"train": "Training", "validation": "Validation", "test": "Test"}
    for name in sorted(names, key=lambda name: ([*words, name.partition("/")[0]].index(name.partition("/")[0]), name)):
        part, _, quantity = name.partition("/")
        label = words.get(part, part.capitalize())
        groups.setdefault(quantity or part, []).append({"name": name, "label": label, "known": True})
    loss = groups.setdefault("loss", [])
    for place, part in enumerate(("train", "validation")):
        if not any(entry["name"] == f"{part}/loss" for entry in loss):
            loss.insert(place, {"name": f"{part}/loss", "label": words[part], "known": False})
    # What is known of a baseline alone is one point: the version's figures tell it.
    shown = {name: lines for name, lines in groups.items() if any(line["label"] != "Baseline" for line in lines)}
    return dict(sorted(shown.items(), key=lambda group: (group[0] != "loss", group[0])))


def example_charts(names: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    """The same for a run that generates: how good its examples are, and how many it keeps."""
    wanted = {
        "quality": {"generate/quality": "Mean of the kept", "generate/score": "Best of each"},
        "examples": {"generate/kept": "Kept", "generate/failed": "Not kept"},
    }
    there = set(names)
    return {
        title: [{"name": name, "label": label, "known": name in there} for name, label in lines.items()]
        for title, lines in wanted.items()
    }


def needs(job: Job) -> Needs:
    """What a job needs of a node; as text '2 GPUs with 40 GiB each'."""
    return Needs.of_lane(job.lane)


def chart_marks(job: Job) -> str:
    """Marks on the chart as JSON: checkpoints, and steps at which an attempt took the run up. A run that makes examples
    has a checkpoint every few seconds: those are not worth a mark."""
    saved = [] if makes_examples(job) else job.checkpoints.order_by("step").values_list("step", flat=True)
    resumed = Attempt.objects.filter(job=job, first_step__gt=0).values_list("first_step", flat=True)
    marks = [{"step": step, "kind": "checkpoint"} for step in list(saved)[-200:]]
    marks += [{"step": step, "kind": "resumed"} for step in resumed]
    return json.dumps(marks)


def chart_summary(job: Job) -> str:
    """The chart in words."""
    if makes_examples(job) and job.current_step:
        return f"{_share_of_examples(job)} are made."
    if job.current_loss is None:
        return "No figures yet."
    text = f"At step {job.current_step:,} the training loss is {wording.number(job.current_loss)}"
    if job.validation_loss is not None:
        text += f", the latest validation loss {wording.number(job.validation_loss)}"
    return f"{text}."


def announcement(job: Job) -> str:
    """What a screen reader says about progress: changes with the status and at each tenth, not at each step."""
    status = Status(job.status).label
    if job.status != Status.RUNNING or not job.total_steps:
        return f"{job.name}: {status}."
    return f"{job.name}: {status}, {10 * int(job.progress // 10)} percent."
