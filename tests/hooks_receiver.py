"""A small receiver of webhooks for tests: real HTTP on 127.0.0.1, which remembers what it was sent."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[dict[str, Any]], "int | tuple[int, dict[str, str], bytes]"]


class Receiver(ThreadingHTTPServer):
    """`answer` gets each request ({"headers", "body", "raw"}) and says with which status."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, answer: Answer) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = answer
        self.got: list[dict[str, Any]] = []
        self.accepted = 0
        self.lock = threading.Lock()

    def get_request(self) -> Any:
        found = super().get_request()
        with self.lock:
            self.accepted += 1
        return found

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = {"headers": dict(self.headers), "raw": raw, "body": json.loads(raw or b"{}"), "path": self.path}
        with self.server.lock:
            self.server.got.append(request)
        answer = self.server.answer(request)
        status, headers, body = answer if isinstance(answer, tuple) else (answer, {}, b"")
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None: ...


@contextmanager
def receiving(answer: Answer = lambda request: 204) -> Iterator[Receiver]:
    """A receiver that is there while the block runs."""
    server = Receiver(answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
