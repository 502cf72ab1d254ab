"""As much of S3 as an object store of ours asks for, over HTTP on loopback: signatures, pieces, lists, deletions.

It is no S3: it keeps bytes in memory and believes requests that are signed in their headers. What it does judge is an
address signed for somebody else to use, by AWS Signature Version 4, because that is what our users are handed.
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
"""

import hashlib
import hmac
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

KEY_ID, SECRET, REGION, BUCKET = "AKIATEST", "a secret of the bucket's", "eu-north-1", "files"


class S3(ThreadingHTTPServer):
    """`objects` are whole ones with their headers; `uploads` the pieces of those that are not."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.objects: dict[str, tuple[bytes, dict[str, str]]] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.headers: dict[str, dict[str, str]] = {}

    @property
    def url(self) -> str:
        """For TASKFORGE_OBJECTS__URL."""
        endpoint = quote(f"http://127.0.0.1:{self.server_port}", safe="")
        return f"s3://{BUCKET}?endpoint={endpoint}&region={REGION}&prefix=taskforge"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: S3

    def log_message(self, *_: Any) -> None:
        """Nothing to say."""

    def do_GET(self) -> None:
        key, query = self.asked()
        if "X-Amz-Signature" in query and not self.is_signed(query):
            self.answer(403, b"<Error><Code>AccessDenied</Code></Error>")
        elif not urlsplit(self.path).path.startswith(f"/{BUCKET}"):
            self.answer(404, b"<Error><Code>NoSuchBucket</Code></Error>")
        elif "list-type" in query:
            self.answer(200, self.listed(query.get("prefix", "")))
        elif key in self.server.objects:
            body, headers = self.server.objects[key]
            headers = {**headers, "ETag": '"x"', "Last-Modified": "Fri, 27 Nov 2026 09:30:00 GMT"}
            self.answer_part(body, headers)
        else:
            self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")

    do_HEAD = do_GET  # noqa: N815

    def do_PUT(self) -> None:
        key, query = self.asked()
        body = self.rfile.read(int(self.headers["content-length"]))
        if "X-Amz-Signature" in query and not self.is_signed(query):
            self.answer(403, b"<Error><Code>AccessDenied</Code></Error>")
            return
        if "uploadId" in query:
            self.server.uploads[query["uploadId"]][int(query["partNumber"])] = body
        else:
            self.server.objects[key] = (body, self.kept())
        self.answer(200, b"", {"ETag": f'"{hashlib.md5(body).hexdigest()}"'})

    def do_POST(self) -> None:
        key, query = self.asked()
        body = self.rfile.read(int(self.headers.get("content-length", "0"))).decode()
        if "uploads" in query:
            upload = f"upload-{len(self.server.uploads)}"
            self.server.uploads[upload], self.server.headers[upload] = {}, self.kept()
            self.answer(200, f"<R><UploadId>{upload}</UploadId></R>".encode())
        elif "delete" in query:
            keys = re.findall("<Key>(.*?)</Key>", body)
            for one in keys:
                self.server.objects.pop(one, None)
            deleted = "".join(f"<Deleted><Key>{one}</Key></Deleted>" for one in keys)
            self.answer(200, f"<DeleteResult>{deleted}</DeleteResult>".encode())
        else:
            pieces = self.server.uploads.pop(query["uploadId"])
            whole = b"".join(pieces[number] for number in sorted(pieces))
            self.server.objects[key] = (whole, self.server.headers.pop(query["uploadId"]))
            self.answer(200, b'<CompleteMultipartUploadResult><ETag>"x"</ETag></CompleteMultipartUploadResult>')

    def do_DELETE(self) -> None:
        key, query = self.asked()
        self.server.uploads.pop(query.get("uploadId", ""), None)
        self.server.objects.pop(key, None)
        self.answer(204)

    def asked(self) -> tuple[str, dict[str, str]]:
        parts = urlsplit(self.path)
        return unquote(parts.path).removeprefix(f"/{BUCKET}/"), dict(parse_qsl(parts.query, keep_blank_values=True))

    def kept(self) -> dict[str, str]:
        return {
            name: value
            for name, value in self.headers.items()
            if name.lower() in ("content-type", "content-disposition")
        }

    def listed(self, prefix: str) -> bytes:
        found = "".join(
            f"<Contents><Key>{key}</Key><LastModified>2026-11-27T09:30:00.000Z</LastModified>"
            f'<ETag>"x"</ETag><Size>{len(body)}</Size><StorageClass>STANDARD</StorageClass></Contents>'
            for key, (body, _) in sorted(self.server.objects.items())
            if key.startswith(prefix)
        )
        head = f"<Name>{BUCKET}</Name><IsTruncated>false</IsTruncated>"
        return f"<ListBucketResult>{head}{found}</ListBucketResult>".encode()

    def is_signed(self, query: dict[str, str]) -> bool:
        """Whether the address was signed with the bucket's key, for this method, and is not over yet."""
        signed = {name: value for name, value in query.items() if name != "X-Amz-Signature"}
        canonical = "&".join(f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in sorted(signed.items()))
        path = quote(unquote(urlsplit(self.path).path), safe="/-_.~")
        request = "\n".join(
            [self.command, path, canonical, f"host:{self.headers['host']}", "", "host", "UNSIGNED-PAYLOAD"]
        )
        at = query["X-Amz-Date"]
        scope = f"{at[:8]}/{REGION}/s3/aws4_request"
        text = "\n".join(["AWS4-HMAC-SHA256", at, scope, hashlib.sha256(request.encode()).hexdigest()])
        key = f"AWS4{SECRET}".encode()
        for part in (*scope.split("/"), text):
            key = hmac.digest(key, part.encode(), "sha256")
        until = datetime.strptime(at, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC) + timedelta(
            seconds=int(query["X-Amz-Expires"])
        )
        return (
            query["X-Amz-Credential"] == f"{KEY_ID}/{scope}"
            and hmac.compare_digest(key.hex(), query["X-Amz-Signature"])
            and datetime.now(UTC) <= until
        )

    def answer_part(self, body: bytes, headers: dict[str, str]) -> None:
        """The bytes from the first to the last one that are asked for; all, when none are."""
        part = re.fullmatch(r"bytes=([0-9]+)-([0-9]*)", self.headers.get("range", ""))
        if part is None:
            self.answer(200, body, headers)
            return
        start, end = int(part[1]), min(len(body), int(part[2]) + 1 if part[2] else len(body))
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(body)}"
        self.answer(206, body[start:end], headers)

    def answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@contextmanager
def running_s3() -> Iterator[S3]:
    """A server until the block ends."""
    with S3() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
