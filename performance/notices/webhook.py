"""One request to a receiver: signed, guarded, short. Of the answer only its status is looked at."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from contextlib import suppress
from typing import Any

from urllib3.exceptions import HTTPError
from urllib3.exceptions import TimeoutError as NotInTimeError

from engine.guarded import Allowance, Manager, RefusedError, UnreachableError
from performance.notices.outcomes import Outcome

CONNECT_SECONDS, ANSWER_SECONDS = 1.0, 4.0
MAX_ANSWER = 64 << 10
PORTS = frozenset({80, 443, 8080, 8443})


def body_of(payload: dict[str, Any]) -> bytes:
    """The bytes that are sent and signed: the same for the same payload."""
    return json.dumps(payload, ensure_ascii=False, sort_keys=True).encode("utf-8", "replace")


def signature(secret: bytes, timestamp: str, body: bytes) -> str:
    """What `TrainHub-Signature` holds. The time is signed too, so that an old request can't be sent again later."""
    return "v1=" + hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def send(url: str, delivery: str, event: str, payload: dict[str, Any], secret: bytes, allowed: Allowance) -> Outcome:
    """POST it once. Nothing that a server or the way to it can do raises."""
    body, timestamp = body_of(payload), str(int(time.time()))
    headers = {
        "Content-Type": "application/json", "User-Agent": "TrainHub", "TrainHub-Delivery": delivery,
        "TrainHub-Event": event, "TrainHub-Timestamp": timestamp,
        "TrainHub-Signature": signature(secret, timestamp, body),
    }  # fmt: skip
    with Manager(allowed, PORTS, CONNECT_SECONDS, ANSWER_SECONDS, num_pools=1, maxsize=1) as http:
        try:
            return _judged(_status(http, url, body, headers))
        except (UnreachableError, RefusedError) as error:
            return Outcome(error=f"{error.message} {error.hint}")
        except (NotInTimeError, TimeoutError):
            return Outcome(error=f"It gave no answer within {ANSWER_SECONDS:g} s.")
        except (HTTPError, OSError, ValueError) as error:
            return Outcome(error=f"The connection broke: {type(error).__name__}.")


def _status(http: Manager, url: str, body: bytes, headers: dict[str, str]) -> int:
    answer = http.urlopen("POST", url, body=body, headers=headers, preload_content=False)
    try:
        # Read so that the receiver is not cut off, and looked at by nobody; what drips is left alone.
        with suppress(HTTPError, OSError):
            answer.read(MAX_ANSWER, decode_content=False)
    finally:
        answer.close()
        with suppress(TimeoutError):
            answer.alarm.stop()
    return int(answer.status)


def _judged(status: int) -> Outcome:
    if 200 <= status < 300:
        return Outcome(status)
    if 300 <= status < 400:
        return Outcome(status, f"It answered with {status}: it leads elsewhere, which is not followed.")
    return Outcome(status, f"It answered with {status}.")
