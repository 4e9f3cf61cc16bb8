"""Real servers on this machine for what is fetched from elsewhere: a web server and a small S3."""

from __future__ import annotations

import hashlib
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape


@contextmanager
def serving(answer, host="127.0.0.1"):
    """A server that answers GET by `answer(handler)`; its `asked` are the requests, with their headers."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.server.asked.append((self.path, dict(self.headers)))
            answer(self)

        def reply(self, status, body=b"", **headers):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            if "Content_Length" not in headers:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer((host, 0), Handler)
    server.daemon_threads = True
    server.asked = []
    server.url = f"http://{host}:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class File:
    """Answers with one file, in parts when asked for; `cuts` says after how many bytes an answer breaks off."""

    def __init__(self, data, cuts=(), tag='"one"'):
        self.data, self.cuts, self.tag = data, list(cuts), tag

    def __call__(self, handler):
        start = 0
        wanted = handler.headers.get("Range", "")
        if wanted and handler.headers.get("If-Range", self.tag) == self.tag:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
        body = self.data[start:]
        handler.send_response(206 if start else 200)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(self.data) - 1}/{len(self.data)}")
        handler.send_header("ETag", self.tag)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if self.cuts:
            handler.wfile.write(body[: self.cuts.pop(0)])
            handler.wfile.flush()
            handler.connection.shutdown(2)
            handler.close_connection = True
        else:
            handler.wfile.write(body)


class S3:
    """As much of the S3 API as reading needs, for one bucket and one pair of keys; pages of two objects."""

    def __init__(self, objects, access_key="", bucket="pets"):
        self.objects, self.access_key, self.bucket = objects, access_key, bucket

    def __call__(self, handler):
        parts = urlsplit(handler.path)
        bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
        signed = f"Credential={self.access_key}/" in handler.headers.get("Authorization", "")
        if self.access_key and not signed:
            self.error(handler, 403, "InvalidAccessKeyId")
        elif bucket != self.bucket:
            self.error(handler, 404, "NoSuchBucket")
        elif key:
            self.send(handler, key)
        else:
            self.list(handler, {name: values[0] for name, values in parse_qs(parts.query).items()})

    def send(self, handler, key):
        if key not in self.objects:
            self.error(handler, 404, "NoSuchKey")
            return
        File(self.objects[key], tag=f'"{hashlib.md5(self.objects[key]).hexdigest()}"')(handler)

    def list(self, handler, query):
        after = query.get("continuation-token") or query.get("start-after", "")
        keys = sorted(key for key in self.objects if key.startswith(query.get("prefix", "")) and key > after)
        page = keys[:2]
        more = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if len(keys) > 2 else ""
        rows = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(self.objects[key])}</Size><ETag>x</ETag>"
            "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
            for key in page
        )
        body = (
            '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Name>{self.bucket}</Name><IsTruncated>{str(bool(more)).lower()}</IsTruncated>{more}{rows}"
            "</ListBucketResult>"
        )
        handler.reply(200, body.encode(), Content_Type="application/xml")

    def error(self, handler, status, code):
        body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
        handler.reply(status, body, Content_Type="application/xml")
