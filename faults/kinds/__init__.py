"""Every kind of fault, by name. A kind is a function that strikes once; `shared` ones may run side by side."""

from __future__ import annotations

from faults.kinds import checkpoints, clocks, databases, disks, hosts, processes, queues
from faults.kinds.registry import Kind

KINDS: dict[str, Kind] = {
    kind.name: kind
    for module in (processes, databases, checkpoints, disks, queues, hosts, clocks)
    for kind in module.KINDS
}
