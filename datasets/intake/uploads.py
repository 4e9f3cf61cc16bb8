"""Uploads as Django receives them: streamed into one pack, keeping each file's relative path.

Set as FILE_UPLOAD_HANDLERS, so pages and API behave alike. Django cuts folders off the names of files;
here the name stays the bare one, and the path is kept beside it as `relative_path`, a label and nothing more.
"""

from __future__ import annotations

import html
import io
from typing import Any, BinaryIO

from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler, SkipFile
from django.http import QueryDict
from django.http.multipartparser import MultiPartParser
from django.utils.datastructures import MultiValueDict

from common.errors import TooLargeError
from common.files import Window
from datasets import limits
from datasets.intake.spool import Entry, Pack, too_large
from datasets.names import clean


class UploadTooLargeError(TooLargeError, RequestDataTooBig):
    """A problem for the API and for pages; Django's own kind where neither is reached yet (the CSRF check)."""


class PackedUpload(UploadedFile):
    """A file of an upload, in the pack that it shares with the others."""

    def __init__(self, pack: Pack, entry: Entry, content_type: str) -> None:
        pack.users += 1
        self.pack, self.entry = pack, entry
        window = io.BufferedReader(Window(pack.descriptor, entry.offset, entry.bytes), 1 << 16)
        super().__init__(window, entry.name.rsplit("/", 1)[-1], content_type, entry.bytes)
        self.relative_path = entry.name
        self._open = True

    def close(self) -> None:
        if self._open:
            self._open = False
            self.file.close()
            self.pack.close()


class FolderUploadHandler(FileUploadHandler):
    """Takes over the whole request, since the paths of files never reach the other hooks."""

    def handle_raw_input(
        self, input_data: BinaryIO, META: dict[str, Any], content_length: int, boundary: bytes,
        encoding: str | None = None,
    ) -> tuple[QueryDict, MultiValueDict]:  # fmt: skip
        if content_length > limits.MAX_UPLOAD_BYTES + limits.MIB:
            raise UploadTooLargeError(too_large().message, too_large().hint)
        user = getattr(self.request, "user", None)
        handler = _PackHandler(keep=bool(user and user.is_authenticated))
        try:
            return _PathKeepingParser(META, input_data, [handler], encoding).parse()
        except TooLargeError as error:
            raise UploadTooLargeError(error.message, error.hint) from error
        except (TooManyFilesSent, TooManyFieldsSent, RequestDataTooBig) as error:
            hint = "Send fewer files at a time, or pack them into an archive."
            raise UploadTooLargeError(str(error), hint) from error
        finally:
            handler.finish()

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes | None:
        raise NotImplementedError("the request is handled as a whole")

    def file_complete(self, file_size: int) -> UploadedFile | None:
        raise NotImplementedError("the request is handled as a whole")


class _PackHandler(FileUploadHandler):
    """Appends each file to the pack. With `keep` False, nobody is signed in: files are passed over."""

    def __init__(self, *, keep: bool) -> None:
        super().__init__()
        self.keep = keep
        self.pack: Pack | None = None
        self.start = 0

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        if not self.keep:
            raise SkipFile
        self.pack = self.pack or Pack()
        self.start = self.pack.bytes

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        self.pack.write(raw_data)

    def file_complete(self, file_size: int) -> PackedUpload:
        entry = Entry(self.file_name, self.start, self.pack.bytes - self.start)
        return PackedUpload(self.pack, entry, self.content_type or "")

    def finish(self) -> None:
        """The files hold the pack from here on; without any it is removed."""
        if self.pack is not None:
            self.pack.close()


class _PathKeepingParser(MultiPartParser):
    def sanitize_file_name(self, file_name: str) -> str | None:
        """The relative path, cleaned: it is shown and gives the label, and never names a file on this machine."""
        return clean(html.unescape(file_name)) if file_name.strip() else None

    IE_sanitize = sanitize_file_name

    def _close_files(self) -> None:
        """Nothing to close: there is one pack, and its handler closes it."""
