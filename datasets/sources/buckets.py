"""The files of an S3-compatible bucket below a prefix, by the minio client over guarded connections."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from minio import Minio
from minio.error import MinioException, S3Error
from urllib3.exceptions import HTTPError

from common.errors import InvalidInputError, ProblemError, UnavailableError
from datasets.sources import origins
from datasets.sources.remote import Body, BrokenOffError, Entry
from datasets.sources.transport import CHUNK, GuardedManager

WORDS = {
    "NoSuchBucket": ("There is no such bucket.", "Check its name and the endpoint."),
    "NoSuchKey": ("A file was removed from the bucket meanwhile.", "Import again."),
    "AccessDenied": ("The bucket may not be read with these keys.", "Check the keys and their rights."),
    "InvalidAccessKeyId": ("The bucket's server does not know the access key.", "Check the keys."),
    "SignatureDoesNotMatch": ("The secret key is not the access key's.", "Check the keys, and the region."),
    "PreconditionFailed": ("A file changed in the bucket meanwhile.", "Import again."),
}


class Bucket:
    """A remote with the objects of a bucket, in the order of their keys."""

    def __init__(self, origin: dict[str, Any], beat: Callable[[], None]) -> None:
        scheme, host, port, _ = origins.web_address(origin["endpoint"], "endpoint")
        self.bucket, self.prefix = origin["bucket"], origin.get("prefix", "").lstrip("/")
        self.http = GuardedManager(beat)
        self.passed_over = 0
        try:
            self.client = Minio(
                f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
                access_key=origin.get("access_key"), secret_key=origin.get("secret_key"),
                session_token=origin.get("session_token"), secure=scheme == "https",
                region=origin.get("region") or "us-east-1", http_client=self.http,
            )  # fmt: skip
        except ValueError as error:
            raise InvalidInputError("The endpoint can't be used.", "Check its address.") from error

    def entries(self, after: str = "") -> Iterator[Entry]:
        base = self.prefix.rpartition("/")[0]
        self.passed_over = 0 if not after else self.passed_over
        with _in_words():
            found = self.client.list_objects(self.bucket, self.prefix, recursive=True, start_after=after or None)
            for entry in found:
                key = entry.object_name or ""
                if {".", ".."} & set(key.split("/")):  # no client can ask for such a key
                    self.passed_over += 1
                elif not key.endswith("/"):  # what consoles make to show an empty folder
                    yield Entry(key, key[len(base) :].lstrip("/"), entry.size or 0)

    def open(self, entry: Entry, start: int, validator: str) -> Body:
        if start and not validator:
            start = 0
        headers = {"Accept-Encoding": "identity"} | ({"If-Match": validator} if start else {})
        with _in_words():
            answer = self.client.get_object(self.bucket, entry.key, offset=start, request_headers=headers)
        begins = start if answer.status == 206 else 0
        return Body(_chunks(answer, entry, begins), begins, answer.headers.get("ETag", "")[:200], entry.bytes)


def _chunks(answer: Any, entry: Entry, begins: int) -> Iterator[bytes]:
    came = begins
    try:
        while chunk := answer.read(CHUNK, decode_content=False):
            came += len(chunk)
            yield chunk
    except (HTTPError, OSError) as error:
        raise BrokenOffError(type(error).__name__) from error
    finally:
        answer.close()
    if entry.bytes is not None and came < entry.bytes:
        raise BrokenOffError("the answer ended early")


@contextmanager
def _in_words() -> Iterator[None]:
    """What the bucket's server says, as a problem; never with a key in it."""
    try:
        yield
    except S3Error as error:
        words = WORDS.get(
            str(error.code), (f"The bucket's server refuses: {str(error.code)[:60]}.", "Check the bucket.")
        )
        raise InvalidInputError(*words) from None
    except ProblemError:
        raise
    except HTTPError as error:
        raise BrokenOffError(type(error).__name__) from None
    except (MinioException, ValueError, SyntaxError, TypeError, AttributeError) as error:  # no XML, or other XML
        raise UnavailableError(
            f"The bucket's server gave no sound answer ({type(error).__name__}).", "Check the endpoint."
        ) from None
