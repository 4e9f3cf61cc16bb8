"""A real hub fetches from elsewhere in a process of its own, which a killed worker or a slow server does not stop."""

from __future__ import annotations

import threading

import psutil

from tests.datasets.servers import File, serving


class Slow(File):
    """Sends little by little until it is let go; then answers as fast as it can."""

    def __init__(self, data):
        super().__init__(data)
        self.go = threading.Event()

    def __call__(self, handler):
        if self.go.is_set():
            super().__call__(handler)
            return
        handler.send_response(200)
        handler.send_header("ETag", self.tag)
        handler.send_header("Content-Length", str(len(self.data)))
        handler.end_headers()
        position = 0
        while not self.go.wait(0.1):
            handler.wfile.write(self.data[position : position + 100_000])
            position = min(position + 100_000, len(self.data) // 2)


def test_a_slow_server_keeps_no_other_import_waiting_and_a_killed_process_goes_on(hub):
    text = b"The fox and the grapes. " * 1_000_000
    slow = Slow(text)
    with serving(slow) as server:
        made = hub.post("/datasets", {"name": "Fetched", "modality": "text"})["id"]
        origin = {"kind": "url", "url": f"{server.url}/fox.txt"}
        started = hub.post(f"/datasets/{made}/imports", {"origin": origin})["id"]
        address = f"/datasets/{made}/imports/{started}"
        hub.until(lambda: hub.get(address)["bytes_done"], 30, "the first part")
        now = hub.get(address)
        assert (now["phase"], now["bytes_total"]) == ("fetching", len(text))
        index = hub.home / "uploads" / str(started) / "fetched-1.index"
        hub.until(lambda: index.stat().st_size, 30, "a part to be on the disk")
        hub.dataset("Meanwhile", "text", {"a.txt": b"other data is taken in " * 9})

        [process] = [process for process in hub.processes() if f"run_import {started}" in " ".join(process.cmdline())]
        psutil.Process(process.pid).kill()
        slow.go.set()
        long_ago = "now() - interval '1 hour'"
        hub.sql(f"UPDATE datasets_import SET heartbeat_at = {long_ago}, created_at = {long_ago} WHERE id = %s", started)
        hub.until(lambda: hub.get(address)["status"] == "completed", 60, "the import")
    starts = [headers.get("Range") for _, headers in server.asked]
    assert starts[0] is None and starts[-1].startswith("bytes=")
    assert hub.get(f"/datasets/{made}")["byte_count"] == len(text)
