"""`manage.py nodes`: see the hub's machines, and what can be asked of them."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from django.db.models import F, Prefetch

from common.wording import ago
from jobs import nodes
from jobs.management.operator import OperatorCommand, show_json, show_table
from jobs.models import Node, Slot

VERBS = {
    "drain": (nodes.drain, "finish what runs, take nothing more", "takes nothing more"),
    "resume": (nodes.resume, "take jobs again", "takes jobs"),
    "forget": (nodes.forget, "remove a machine that is gone for good", "is forgotten"),
}


class Command(OperatorCommand):
    help = "See the machines with workers; drain, resume or forget one. (`manage.py node` runs this machine's workers.)"

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        found = actions.add_parser("list", help="all machines and what they run")
        found.add_argument("--json", action="store_true")
        for name, (_, text, _) in VERBS.items():
            verb = actions.add_parser(name, help=text)
            verb.add_argument("name", metavar="NAME")
            self.add_user(verb)

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        with self.in_words():
            if action == "list":
                self._list(options["json"])
                return
            verb, _, outcome = VERBS[action]
            by = self.acting(options["user"])
            verb(nodes.find(options["name"]), by)
            self.stdout.write(f"Node '{options['name']}' {outcome}.")

    def _list(self, json: bool) -> None:
        slots = Slot.objects.filter(enabled=True).annotate(running_job=F("held_by__job_id")).order_by("index")
        rows = list(Node.objects.prefetch_related(Prefetch("slots", slots)).order_by("name"))
        if json:
            show_json(self.stdout, [_told(node) for node in rows])
            return
        table = [
            (node.name, _state(node), _busy(node), ", ".join(node.labels) or "—", ago(node.heartbeat_at),
             node.set_aside_reason if node.is_set_aside else "")
            for node in rows
        ]  # fmt: skip
        show_table(self.stdout, ("name", "state", "busy", "labels", "heard of", "why"), table)


def _state(node: Node) -> str:
    if not node.is_up:
        return "stopped" if node.state == Node.State.STOPPED else "lost"
    if node.is_set_aside:
        return "set aside"
    return "draining" if node.draining else "up"


def _busy(node: Node) -> str:
    slots = list(node.slots.all())
    return f"{sum(slot.held_by_id is not None for slot in slots)} of {len(slots)}"


def _told(node: Node) -> dict[str, Any]:
    slots = [
        {"index": slot.index, "device": slot.device, "job": slot.running_job}  # type: ignore[attr-defined]
        for slot in node.slots.all()
    ]
    return {
        "name": node.name,
        "state": _state(node),
        "takes_jobs": node.takes_jobs,
        "labels": node.labels,
        "version": node.version,
        "heartbeat_at": node.heartbeat_at.isoformat(),
        "set_aside_until": node.set_aside_until.isoformat() if node.is_set_aside and node.set_aside_until else None,
        "set_aside_reason": node.set_aside_reason,
        "figures": node.figures,
        "slots": slots,
    }
