"""A model behind an endpoint that speaks as OpenAI's chat completions do."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable
from typing import Any

from urllib3.exceptions import HTTPError
from urllib3.exceptions import TimeoutError as NotInTimeError

from engine.guarded import Allowance, Manager, RefusedError, UnreachableError
from engine.protocol import EngineError, FailureCode, Source

MAX_ANSWER = 4 << 20  # bytes
CONNECT_SECONDS = 10.0
FIRST_WAIT, LONGEST_WAIT = 0.5, 60.0  # seconds before an attempt after one that failed
SLICE = 0.1
PASSING = {408, 409, 425, 429, 500, 502, 503, 504, 529}  # answers that may be others in a moment


class NoAnswerError(Exception):
    """The endpoint gave no answer that can be used; the message is for people, and holds no key."""


class Endpoint:
    """Safe to use from several threads. `breathe` is called while it waits between attempts, and may raise."""

    def __init__(self, source: Source, allowed: Allowance, breathe: Callable[[], None], key: str = "") -> None:
        """`key` is for whoever has it at hand; a run reads it from the source's file."""
        self.title = source.title
        self.model = source.model
        self.url = source.url.rstrip("/") + "/chat/completions"
        self.retries = source.retries
        self.seconds = source.timeout_seconds
        self.breathe = breathe
        self.pace = Pace(source.requests_per_minute)
        self.headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "TrainHub"}
        self._secret = _key(source) if source.key_file is not None else key
        if self._secret:
            self.headers["Authorization"] = f"Bearer {self._secret}"
        self.http = Manager(
            allowed, connect_seconds=min(CONNECT_SECONDS, source.timeout_seconds), num_pools=1, maxsize=64,
            answer_seconds=source.timeout_seconds,
        )  # fmt: skip

    def answer(self, messages: list[dict[str, str]], tokens: int, temperature: float, seed: int) -> str:
        """What the model says to a conversation. NoAnswerError after as many attempts as the source allows."""
        body = json.dumps(
            {"model": self.model, "messages": messages, "max_tokens": tokens, "temperature": temperature, "seed": seed}
        ).encode()
        wait = FIRST_WAIT
        for attempt in range(self.retries + 1):
            self._sleep(self.pace.turn())
            try:
                return self._once(body)
            except _PassingError as error:
                if attempt == self.retries:
                    raise NoAnswerError(f"{error}{f' It was asked {attempt + 1} times.' if attempt else ''}") from error
                # A little chance keeps those who failed together from coming back together.
                self._sleep(max(error.wait, wait * random.uniform(0.8, 1.2)))
                wait = min(2 * wait, LONGEST_WAIT)
        raise AssertionError("not reached")

    def _once(self, body: bytes) -> str:
        try:
            answer = self.http.urlopen("POST", self.url, body=body, headers=self.headers, preload_content=False)
            try:
                data = answer.read(MAX_ANSWER + 1, decode_content=True)
            finally:
                answer.close()
                answer.alarm.stop()
        except UnreachableError as error:
            raise _PassingError(error.message) from error
        except RefusedError as error:
            raise NoAnswerError(f"{error.message} {error.hint}") from error
        except (NotInTimeError, TimeoutError) as error:
            raise _PassingError(f"It gave no whole answer within {self.seconds:g} s.") from error
        except (HTTPError, OSError) as error:
            raise _PassingError(f"The connection broke: {type(error).__name__}.") from error
        if len(data) > MAX_ANSWER:
            raise NoAnswerError("The answer is unreasonably long.")
        if answer.status in PASSING:
            raise _PassingError(f"It answered with {answer.status}.", _retry_after(answer.headers))
        if answer.status != 200:
            raise NoAnswerError(f"It answered with {answer.status}: {self._without_key(_reason(data))}")
        return _content(data)

    def _without_key(self, text: str) -> str:
        """Servers like to repeat what they were given."""
        return text.replace(self._secret, "…") if self._secret else text

    def _sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.breathe()
            time.sleep(min(left, SLICE))


class Pace:
    """So many turns a minute, evenly; 0: as many as are asked for."""

    def __init__(self, per_minute: int) -> None:
        self._between = 60 / per_minute if per_minute else 0.0
        self._next = 0.0
        self._lock = threading.Lock()

    def turn(self) -> float:
        """Take the next turn; the seconds until it comes."""
        with self._lock:
            now = time.monotonic()
            at = max(now, self._next)
            self._next = at + self._between
            return at - now


class _PassingError(Exception):
    """It may go well in a moment; `wait` is how long the server asked to wait."""

    def __init__(self, message: str, wait: float = 0.0) -> None:
        super().__init__(message)
        self.wait = wait


def _key(source: Source) -> str:
    assert source.key_file is not None
    try:
        key = source.key_file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise EngineError(
            FailureCode.BAD_CONFIG, f"The key of '{source.title}' can't be read.", "Set the key of the endpoint anew."
        ) from error
    if not key.isprintable():
        raise EngineError(
            FailureCode.BAD_CONFIG, f"The key of '{source.title}' holds line ends.", "Set the key of the endpoint anew."
        )
    return key


def _content(data: bytes) -> str:
    try:
        said = json.loads(data)["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise NoAnswerError("Its answer is no chat completion.") from error
    if not isinstance(said, str) or not said.strip():
        raise NoAnswerError("Its answer is empty.")
    return _whole(said)


def _reason(data: bytes) -> str:
    """What the server says of its refusal."""
    try:
        said: Any = json.loads(data)
        error = said.get("error", said)
        text = error.get("message", "") if isinstance(error, dict) else str(error)
    except (ValueError, AttributeError, RecursionError):
        text = data[:200].decode("utf-8", "replace")
    return _whole(" ".join(str(text).split())[:200]) or "no reason given"


def _whole(text: str) -> str:
    """Without halves of letters, which JSON can hold ('\\ud800') and nothing else can."""
    return text.encode("utf-8", "replace").decode()


def _retry_after(headers: Any) -> float:
    text = headers.get("Retry-After", "")
    return min(float(text), LONGEST_WAIT) if text.isascii() and text.isdecimal() else 0.0
