"""Supervising one attempt: start the trainer, write down what it says, hand requests down, conclude.

It runs inside a django-q2 worker, in the main thread, without threads of its own. Everything that it knows is
also in the database, so a successor can take over whenever this process dies.
"""

from __future__ import annotations

import logging
import os
import select
import time
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connection

from common.errors import ProblemError
from common.files import store
from common.paths import warm_socket
from datasets.models import DatasetVersion
from engine.files import is_disk_full
from engine.launch import Trainer, start_time_of, start_trainer
from engine.processes import Ended
from engine.protocol import Command, DataSpec, Event, FailureCode, Spec, decode
from engine.telemetry import Sampler, devices
from jobs import bases, conclusion, outbox, requests
from jobs.folders import work_folder
from jobs.generation import sources
from jobs.generation.shown import makes_examples
from jobs.lifecycle import StaleAttemptError
from jobs.models import Attempt, Node, Slot
from jobs.progress import ProgressWriter, renew_lease
from jobs.runclock import RunClock
from jobs.states import Phase, Request

log = logging.getLogger(__name__)

FLUSH_SECONDS = 0.1  # between two batches of progress
GATHER_SECONDS = 0.01  # for what is said together to be written together
LOOK_SECONDS = 0.4  # between two looks at requests while nothing is reported
SAMPLE_SECONDS = 1.0  # between two looks at device, CPU and memory
FIRST_SAMPLE_SECONDS = 0.2  # a run that is shorter is not measured, which would cost as much as itself
GENERATING_CHECKPOINT_SECONDS = 2.0
CHECKPOINT_WORD_SECONDS = 60.0  # between two lines that tell of them
CANCEL_SECONDS = 10.0  # a trainer that does not obey in time is killed
PAUSE_SECONDS = 120.0
STOP_SECONDS = 20.0
LIMIT_SECONDS = 15.0
READ_BYTES = 1 << 20
AWAY = (OperationalError, InterfaceError)


class Supervisor:
    """One attempt from its claim to its end."""

    def __init__(self, attempt: Attempt, slot: Slot) -> None:
        self.attempt, self.slot, self.job = attempt, slot, attempt.job
        self.writer = ProgressWriter(self.job, attempt.number, attempt.flushes)
        self.last_event: dict[str, Any] = {}
        self.environment: dict[str, Any] = {}
        self.asked: Command | None = None
        self.deadline = float("inf")
        self.stale = False
        self.lease_lost = False
        self.overdue = False
        self.step = self.job.current_step
        self.buffers = {"events": b"", "output": b""}
        self.sampler: Sampler | None = None
        now = time.monotonic()
        self.renewed = now  # when the lease was last known to be ours
        self.next_flush = now + FLUSH_SECONDS
        self.next_sample = now + FIRST_SAMPLE_SECONDS
        self.next_word = now + CHECKPOINT_WORD_SECONDS
        self.next_renewal = now
        self.next_look = now + LOOK_SECONDS
        self.clock = RunClock(self.job, now)

    def run(self) -> None:
        """Supervise until the attempt is over and its job has moved on, or someone else owns the job."""
        try:
            self._supervise()
        except Exception as error:
            # Never leave a job 'running' that nobody supervises: give it back, with the reason.
            log.exception("job %s: its supervisor failed", self.job.pk)
            reason = f"Its supervisor failed: {error}"
            lost = Attempt.Outcome.LOST
            # Counted, like any end that got nowhere: what fails here every time must not be tried for ever.
            code = FailureCode.WORKER_LOST
            self._until_database(lambda: conclusion.requeue(self.job.pk, self.attempt.number, lost, reason, code))

    def _supervise(self) -> None:
        try:
            trainer = self._start()
        except StaleAttemptError:
            return
        except (OSError, ValueError) as error:
            self.last_event = _failed(_why_not_started(error), f"The trainer could not be started: {error}")
            self._conclude(Ended(code=1))
            return
        except ProblemError as problem:  # what it starts from is not on this machine
            self.last_event = _failed(FailureCode.BAD_CONFIG, problem.message) | {"hint": problem.hint}
            self._conclude(Ended(code=1))
            return
        try:
            ended = self._follow(trainer)
        finally:
            trainer.close()
            sources.forget_keys(self.job.pk)
        if not self.stale:
            self._conclude(ended)

    def _start(self) -> Trainer:
        folder = work_folder(self.job.pk)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "spec.json"
        path.write_text(self._spec().model_dump_json(indent=1), encoding="utf-8")
        trainer = start_trainer(
            path,
            socket_path=warm_socket(),
            env={"CUDA_VISIBLE_DEVICES": ",".join(self._gpus())},
            processes=max(1, len(self.attempt.devices)),
        )
        try:
            self._until_database(lambda: self._note_trainer(trainer))
            if self.stale:
                raise StaleAttemptError
            self._renewed(trainer)
        except BaseException:
            trainer.close()  # nobody else knows of it
            raise
        return trainer

    def _note_trainer(self, trainer: Trainer) -> None:
        """Write down who must be ended when this process dies; the lease begins anew with it."""
        renew_lease(self.job.pk, self.attempt.number, trainer_pid=trainer.pid, trainer_start=trainer.start_time)

    def _renewed(self, trainer: Trainer) -> None:
        """The lease was just renewed: the trainer may live on."""
        self.renewed = time.monotonic()
        self.next_renewal = self.renewed + settings.HEARTBEAT_SECONDS
        trainer.renew(0.95 * settings.LEASE_SECONDS)

    def _gpus(self) -> list[str]:
        """The numbers of this attempt's GPUs; none for a CPU."""
        return [number for device in self.attempt.devices if (number := device.partition(":")[2])]

    def _spec(self) -> Spec:
        job = self.job
        return Spec(
            job=str(job.pk),
            attempt=self.attempt.number,
            recipe=job.recipe,
            config=job.config,
            seed=job.seed,
            data=_data(job.dataset_version),
            base=bases.folder(job),
            sources=sources.of(job),
            allow_internal=sources.allowed(job),
            work_dir=work_folder(job.pk),
            device="cpu" if self.slot.device == "cpu" or job.resources.get("device") == "cpu" else "auto",
            checkpoint_seconds=self._checkpoint_seconds(),
            resume_limit=job.current_step,
            processes=max(1, len(self.attempt.devices)),
        )

    def _checkpoint_seconds(self) -> float:
        """What a run that generates keeps is some numbers, and what it makes again was paid for."""
        usual = settings.CHECKPOINT_SECONDS
        return min(usual, GENERATING_CHECKPOINT_SECONDS) if makes_examples(self.job) else usual

    def _follow(self, trainer: Trainer) -> Ended:
        """Read, write and obey until the trainer has ended and everything that it said is read."""
        poll = select.poll()
        for descriptor in (trainer.events, trainer.output, trainer.exit_fd):
            poll.register(descriptor, select.POLLIN | select.POLLHUP)
        open_fds = {trainer.events: "events", trainer.output: "output"}
        while True:
            for descriptor, _ in poll.poll(self._patience()):
                if descriptor in open_fds and not self._read(descriptor, open_fds[descriptor]):
                    poll.unregister(descriptor)
                    del open_fds[descriptor]
            ended = trainer.poll()
            if ended is not None:
                for descriptor, kind in open_fds.items():
                    while self._read(descriptor, kind, wait=False):
                        pass
                return ended
            self._duties(trainer)

    def _patience(self) -> int:
        """Milliseconds until the next duty."""
        due = min(self.next_look, self.next_sample, self.next_renewal, self.deadline, self.clock.due())
        if self.writer.batch and not self.last_event:
            due = min(due, self.next_flush)
        return max(1, int(1000 * min(0.5, due - time.monotonic())))

    def _read(self, descriptor: int, kind: str, wait: bool = True) -> bool:
        """Take what a pipe holds. False at its end (or, without `wait`, when it holds nothing)."""
        try:
            data = os.read(descriptor, READ_BYTES)
        except BlockingIOError:
            return wait
        *lines, self.buffers[kind] = (self.buffers[kind] + data).split(b"\n")
        if not data and self.buffers[kind]:
            lines, self.buffers[kind] = [self.buffers[kind]], b""
        for line in lines:
            if kind == "events" and (event := decode(line)):
                self._take(event)
            elif line.strip():
                self.writer.log(line.decode("utf-8", "replace"))
        return bool(data)

    def _take(self, event: dict[str, Any]) -> None:
        writer = self.writer
        self.clock.note(event)
        match event["event"]:
            case Event.STEP:
                self.step = event["step"]
                writer.step(event)
                return
            case Event.EVALUATION:
                writer.evaluation(event)
                writer.log(f"Step {event['step']:,}: {_figures(event['metrics'])}")
            case Event.PHASE:
                writer.set(phase=Phase(event["phase"]))
            case Event.PLAN:
                self._plan(event)
            case Event.STARTED:
                self._started(event)
                return  # nobody waits for it: what follows at once is written with it
            case Event.SAMPLE:
                self._sampled(event)
            case Event.EXAMPLE:
                writer.example(event)
                return  # its step follows
            case Event.CHECKPOINT:
                writer.checkpoint(event)
                self._checkpointed(event)
            case Event.CHECKPOINT_SKIPPED:
                writer.log(f"Checkpoint {event['name']} was passed over: {event['reason']}", "warning")
            case Event.LOG:
                writer.log(str(event["message"]), str(event["level"])[:10])
            case _:
                self.last_event = event
                return  # the last word: it is written with the end
        self.next_flush = min(self.next_flush, time.monotonic() + GATHER_SECONDS)

    def _checkpointed(self, event: dict[str, Any]) -> None:
        """A run that makes examples has one every few seconds, and says so once in a while."""
        now = time.monotonic()
        if makes_examples(self.job) and now < self.next_word:
            return
        self.next_word = now + CHECKPOINT_WORD_SECONDS
        self.writer.log(f"Step {event['step']:,}: checkpoint of {event['bytes'] / 2**20:.1f} MiB saved.")

    def _sampled(self, event: dict[str, Any]) -> None:
        try:
            self.writer.sample(event)
        except ProblemError as error:
            self.writer.log(f"Step {event['step']:,}: {error.message} {error.hint}", "warning")

    def _plan(self, event: dict[str, Any]) -> None:
        sources.forget_keys(self.job.pk)  # whoever needs one has read it
        per_epoch = event.get("steps_per_epoch")
        total = event["total_steps"]
        self.writer.set(total_steps=total, total_epochs=total / per_epoch if per_epoch else None)
        items = [f"{event.get(f'{part}_items') or 0:,} {part}" for part in ("train", "validation")]
        data = f", items: {', '.join(items)}" if event.get("train_items") else ""
        parameters = f", {event['parameters']:,} parameters" if event.get("parameters") else ""
        self.writer.log(f"{total:,} steps{parameters}{data}.")

    def _started(self, event: dict[str, Any]) -> None:
        """The trainer says from which step it goes on: what was reported after it is forgotten."""
        self.environment = event.get("environment") or {}
        self.step = event.get("resumed_from") or 0
        device = event.get("device") or "none"
        where = self.slot.node.name if device == "none" else f"{self.slot.node.name}, {device}"
        self.writer.log(f"Attempt {self.attempt.number} on {where}, from step {self.step:,}.")
        if self.step or self.job.current_step or self.attempt.number > 1:
            self._until_database(lambda: self.writer.rewind(self.step))
        self.writer.set(environment=self.environment, current_step=self.step)

    def _duties(self, trainer: Trainer) -> None:
        now = time.monotonic()
        if now >= self.next_sample:
            self.next_sample = now + SAMPLE_SECONDS
            self._sample(trainer)
        try:
            if now >= self.next_renewal:
                renew_lease(self.job.pk, self.attempt.number)
                self.clock.read_limits()
                self._renewed(trainer)
            if self.writer.batch and not self.last_event and now >= self.next_flush:
                self.next_flush = now + FLUSH_SECONDS
                self._obey(self.writer.flush(), trainer)
            if now >= self.next_look:
                self.next_look = now + LOOK_SECONDS
                self._obey(self.writer.flush(), trainer)
                outbox.wake_owed()
                if self.asked is None and self._node_stops():
                    self._ask(Command.STOP, STOP_SECONDS, trainer)
        except StaleAttemptError:
            self.stale = True
            trainer.kill()
        except AWAY as error:
            self._database_away(error, trainer)
        if self.clock.limited is None and (limited := self.clock.look()):
            self.writer.log(limited.message, "warning")
            self._ask(Command.STOP, LIMIT_SECONDS, trainer)
        if now >= self.deadline:
            self.writer.log("The trainer did not obey in time and was ended.", "warning")
            self.overdue = True
            trainer.kill()

    def _sample(self, trainer: Trainer) -> None:
        if self.sampler is None:
            gpus = self._gpus()
            known = devices() if gpus else []
            self.sampler = Sampler(trainer.pid, [one for one in known if one.kind == "gpu" and str(one.index) in gpus])
            return  # the first figures are those from now to the next look
        figures = self.sampler.sample()
        if figures:
            self.writer.figures(figures)

    def _obey(self, request: str, trainer: Trainer) -> None:
        """Hand a request down once; with a deadline after which the trainer is killed."""
        if request == Request.CANCEL:
            self._ask(Command.CANCEL, CANCEL_SECONDS, trainer)
        elif request == Request.PAUSE:
            self._ask(Command.PAUSE, PAUSE_SECONDS, trainer)
        elif request == Request.PREEMPT:
            self._ask(Command.STOP, PAUSE_SECONDS, trainer)
        elif request == Request.CHECKPOINT and trainer.send(Command.CHECKPOINT):
            requests.passed_on(self.job.pk, self.attempt.number, Request.CHECKPOINT)

    def _ask(self, command: Command, seconds: float, trainer: Trainer) -> None:
        if command != self.asked:
            self.asked, self.deadline = command, time.monotonic() + seconds
            trainer.send(command)

    def _node_stops(self) -> bool:
        return Node.objects.filter(pk=self.slot.node_id, state=Node.State.STOPPED).exists()

    def _database_away(self, error: Exception, trainer: Trainer) -> None:
        """Keep what was reported and try again; stop the trainer before the lease runs out."""
        connection.close()
        now = time.monotonic()
        self.next_flush = self.next_look = self.next_renewal = now + 0.5
        age = now - self.renewed
        if age > 0.8 * settings.LEASE_SECONDS and not self.lease_lost:
            log.warning("job %s: the lease can't be renewed, the trainer is stopped: %s", self.job.pk, error)
            self.lease_lost = True
            trainer.send(Command.STOP)
        if age > 0.95 * settings.LEASE_SECONDS:
            trainer.kill()

    def _conclude(self, ended: Ended) -> None:
        """Write the rest and move the job. While the database is away, wait: nobody else may own the job by then."""
        ending = conclusion.Ending(
            ended=ended,
            event=self.last_event,
            asked=self.asked,
            lease_lost=self.lease_lost,
            overdue=self.overdue,
            limit=self.clock.limited,
            environment=self.environment,
        )
        self._until_database(self.writer.flush)
        if not self.stale:
            self._until_database(lambda: conclusion.conclude(self.job.pk, self.attempt.number, ending))

    def _until_database(self, call: Any) -> None:
        """Run a call that is safe to repeat, until the database answers. Losing the job is remembered, not raised."""
        while True:
            try:
                call()
                return
            except StaleAttemptError:
                self.stale = True
                return
            except AWAY:
                connection.close()
                time.sleep(0.5)
            except DatabaseError:
                connection.close()
                raise


def _data(version: DatasetVersion | None) -> DataSpec | None:
    if version is None:
        return None
    files = store()
    return DataSpec(manifest=files.path(version.content_hash), store=files.root)


def _figures(metrics: dict[str, float | None]) -> str:
    return ", ".join(f"{name} {'not finite' if value is None else f'{value:.4g}'}" for name, value in metrics.items())


def _why_not_started(error: OSError | ValueError) -> FailureCode:
    """A machine that can't start a trainer is not the job's fault: another attempt, or another node, may help."""
    if is_disk_full(error):
        return FailureCode.DISK_FULL
    return FailureCode.CRASHED if isinstance(error, OSError) else FailureCode.CODE_ERROR


def _failed(code: FailureCode, message: str) -> dict[str, Any]:
    hint = "See the log, then retry the job."
    return {"event": Event.FAILED, "code": code, "message": message, "hint": hint, "traceback": ""}


def own_start_time() -> int:
    """When this process started, in clock ticks since boot."""
    return start_time_of(os.getpid()) or 0
