"""WARC and WET files written record by record, for tests of what reads them.

>>> record = response("https://a.example/", b"<p>hello</p>")
>>> record.splitlines()[:2]
[b'WARC/1.0', b'WARC-Type: response']
"""

from __future__ import annotations

import gzip
import uuid
from collections.abc import Iterable, Mapping

DATE = "2024-02-03T04:05:06Z"


def record(kind: str, body: bytes, url: str, headers: Mapping[str, str] | None = None) -> bytes:
    """Return a record of a type (`response`, `conversion`, `request` …); its id follows from type and address."""
    own = {
        "WARC-Type": kind,
        "WARC-Target-URI": url,
        "WARC-Date": DATE,
        "WARC-Record-ID": f"<urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, kind + url)}>",
        "Content-Length": str(len(body)),
    }
    lines = [f"{name}: {value}\r\n" for name, value in (own | dict(headers or {})).items()]
    return b"WARC/1.0\r\n" + "".join(lines).encode() + b"\r\n" + body + b"\r\n\r\n"


def response(
    url: str,
    page: bytes,
    content_type: str = "text/html; charset=utf-8",
    status: str = "200 OK",
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """Return what a server answered, as a record; `headers` are of HTTP."""
    lines = {"Content-Type": content_type} | dict(headers or {})
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    body = f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + page
    return record("response", body, url, {"Content-Type": "application/http; msgtype=response"})


def conversion(url: str, text: str, language: str = "eng") -> bytes:
    """Return a page's text as a record of a WET file."""
    headers = {"Content-Type": "text/plain", "WARC-Identified-Content-Language": language}
    return record("conversion", text.encode(), url, headers)


def zipped(records: Iterable[bytes]) -> bytes:
    """Return records as a crawl stores them: each a member of a gzip file."""
    return b"".join(map(gzip.compress, records))
