"""A small server that speaks as OpenAI's chat completions do, for tests: real HTTP on 127.0.0.1.

In a test: `with serving(answer) as server`, where `answer(body) -> str | Reply` sees each request. As a process with a
model that TrainHub trained behind it: `python -m tests.chat_server <artifact folder>`, which prints its address.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass
class Reply:
    """An answer that is not a plain completion."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    hold: threading.Event | None = None  # waited for before the answer
    drip: float = 0.0  # seconds before each byte of the body
    slow_headers: bool = False  # these come byte by byte, too


Answer = Callable[[dict[str, Any]], "str | Reply"]


class Server(ThreadingHTTPServer):
    """Remembers what it was asked, and with which headers."""

    daemon_threads = True

    def __init__(self, answer: Answer) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = answer
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.asked.append(body)
            self.server.headers.append({name.lower(): value for name, value in self.headers.items()})
        if self.path != "/v1/chat/completions":
            said: str | Reply = Reply(404, b'{"error": {"message": "no such path"}}')
        else:
            said = self.server.answer(body)
        self._send(said if isinstance(said, Reply) else Reply(200, completion(body, said)))

    def log_message(self, *_: object) -> None:
        """Tests look at `asked`."""

    def _drip(self, data: bytes, seconds: float) -> None:
        self.flush_headers()
        for byte in data:
            time.sleep(seconds)
            self.wfile.write(bytes([byte]))

    def _send(self, reply: Reply) -> None:
        if reply.hold is not None:
            reply.hold.wait(60)
        try:
            self.send_response(reply.status)
            for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            if reply.slow_headers:
                self._drip(b"X-Slow: " + b"x" * 1000, reply.drip)
            self.end_headers()
            self._drip(reply.body, reply.drip) if reply.drip else self.wfile.write(reply.body)
        except OSError:
            self.close_connection = True  # whoever asked is gone


def completion(body: dict[str, Any], text: str) -> bytes:
    """A chat completion as OpenAI's API writes it."""
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return json.dumps({"object": "chat.completion", "model": body["model"], "choices": [choice]}).encode()


@contextmanager
def serving(answer: Answer) -> Iterator[Server]:
    server = Server(answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def with_model(folder: Path) -> Answer:
    """Answers by a text-generation version's own files."""
    from engine.recipes.text_generation.predictor import TextGenerationPredictor

    model = TextGenerationPredictor.load(folder)
    lock = threading.Lock()

    def answer(body: dict[str, Any]) -> str | Reply:
        wanted = {"max_new_tokens": min(1000, body.get("max_tokens", 100)), "temperature": body.get("temperature", 1)}
        with lock:
            return model.predict([body["messages"][-1]["content"]], wanted | {"seed": body.get("seed", 0)})[0][
                "completion"
            ]

    return answer


if __name__ == "__main__":
    server = Server(with_model(Path(sys.argv[1])))
    print(server.url, flush=True)
    server.serve_forever()
