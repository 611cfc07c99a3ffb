"""A URL in, bytes out: polite GET that cannot be led to a private address.

Every address a name resolves to must be public, and the connection goes to the address that was checked, so that a
name that changes between check and use gains nothing. Redirects are followed here, one checked hop at a time. No
proxy of the environment is used, because a proxy would resolve the name again.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import ipaddress
import json
import re
import socket
import ssl
import threading
import time
import urllib.parse
import urllib.robotparser
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kb.errors import FetchError

USER_AGENT = "duibiao-kb/0.1 (policy library; one request at a time)"
PORTS = (80, 443, 8080, 8443)
REDIRECTS = (301, 302, 303, 307, 308)
RETRY_STATUS = (408, 425, 429, 500, 502, 503, 504)
CHUNK = 64 * 1024
ROBOTS_BYTES = 512 * 1024
LONGEST_WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Limits:
    """How far one request may go; times in seconds."""

    timeout_s: float = 20.0
    max_seconds: float = 120.0
    max_bytes: int = 30 * 2**20
    max_redirects: int = 5
    attempts: int = 4
    backoff_s: float = 1.0
    delay_s: float = 1.5


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer after redirects. `status` is 200, or 304 when the copy at hand is current (then `body` is empty)."""

    url: str
    final_url: str
    status: int
    content_type: str
    body: bytes = field(repr=False)
    etag: str = ""
    last_modified: str = ""
    attempts: int = 1

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.body).hexdigest()


class Retry(Exception):
    """This attempt failed in a way that another one may mend.

    `wait_s` is what the server asked for; `down` names a host that does not answer at all.
    """

    def __init__(self, what: str, wait_s: float = 0.0, down: str = "") -> None:
        super().__init__(what)
        self.wait_s, self.down = wait_s, down


class _PinnedHTTP(http.client.HTTPConnection):
    """Connects to the address that was checked and names the host in the request."""

    def __init__(self, host: str, port: int, address: str, timeout: float) -> None:
        super().__init__(host, port, timeout=timeout)
        self._address = address

    def connect(self) -> None:
        self.sock = socket.create_connection((self._address, self.port), self.timeout)


class _PinnedHTTPS(_PinnedHTTP):
    def connect(self) -> None:
        super().connect()
        self.sock = ssl.create_default_context().wrap_socket(self.sock, server_hostname=self.host)


class Client:
    """Polite GET with robots, a delay per host, retries, resume and conditional requests. Not for several threads.

    Args:
        limits: how far one request may go.
        partial_dir: where broken downloads wait for the next attempt or run; None keeps them in memory only.
        allow_private: accept private and loopback addresses and any port; for tests against a local server only.
        resolve, sleep, clock: replaced by tests.
    """

    def __init__(
        self,
        limits: Limits = Limits(),
        *,
        partial_dir: Path | None = None,
        allow_private: bool = False,
        resolve: Callable[..., list] = socket.getaddrinfo,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limits = limits
        self._partial_dir, self._allow_private = partial_dir, allow_private
        self._resolve, self._sleep, self._clock = resolve, sleep, clock
        self._robots: dict[str, urllib.robotparser.RobotFileParser] = {}
        self._next_at: dict[str, float] = {}
        self._dead: dict[str, str] = {}

    def get(self, url: str, *, etag: str = "", last_modified: str = "") -> Reply:
        """The document at `url`; with a validator, status 304 when it did not change.

        Raises:
            FetchError: refused address, robots, size, type of answer, or no good answer after all attempts.
        """
        part = _Part.load(self._partial_dir, url)
        for attempt in range(1, self.limits.attempts + 1):
            try:
                reply = self._follow(url, etag, last_modified, part)
            except Retry as fault:
                if attempt == self.limits.attempts:
                    if fault.down:
                        self._dead[fault.down] = str(fault)
                    raise FetchError(
                        f"{url}: {fault} ({attempt} attempts)",
                        hint="Try again later; what arrived is kept for resuming.",
                    ) from fault
                if fault.wait_s > LONGEST_WAIT_S:
                    raise FetchError(
                        f"{url}: {fault}; the server asks to wait {fault.wait_s:.0f} s", hint="Try again later."
                    ) from fault
                self._sleep(max(fault.wait_s, self.limits.backoff_s * 2 ** (attempt - 1)))
                continue
            part.forget()
            return Reply(
                url,
                reply.final_url,
                reply.status,
                reply.content_type,
                reply.body,
                reply.etag,
                reply.last_modified,
                attempt,
            )
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _follow(self, url: str, etag: str, last_modified: str, part: _Part) -> Reply:
        current = url
        for _ in range(self.limits.max_redirects + 1):
            self._check_robots(current)
            headers = {"If-None-Match": etag, "If-Modified-Since": last_modified, **part.headers(current)}
            status, answer, body = self._request(current, {k: v for k, v in headers.items() if v}, part)
            if status in REDIRECTS:
                target = answer.get("location", "")
                if not target:
                    raise FetchError(f"{current}: redirect without a target", hint="Open the page in a browser.")
                current = urllib.parse.urljoin(current, target)
                continue
            return Reply(
                url,
                current,
                status,
                answer.get("content-type", ""),
                body,
                answer.get("etag", ""),
                answer.get("last-modified", ""),
            )
        raise FetchError(
            f"{url}: more than {self.limits.max_redirects} redirects", hint="Check the address in the catalogue."
        )

    # --- one request ---------------------------------------------------------------------------------------------

    def _request(self, url: str, headers: Mapping[str, str], part: _Part) -> tuple[int, dict[str, str], bytes]:
        scheme, host, port, target = self.check_url(url)
        if host in self._dead:
            raise FetchError(
                f"{url}: {self._dead[host]}, not asked again in this run", hint="Check the network and try again."
            )
        address = self._public_address(host, port)
        self._wait_for(host)
        connection = (_PinnedHTTPS if scheme == "https" else _PinnedHTTP)(host, port, address, self.limits.timeout_s)
        expired = threading.Event()
        watchdog = threading.Timer(self.limits.max_seconds, _cut, (connection, expired))
        watchdog.daemon = True
        try:
            watchdog.start()
            connection.request(
                "GET",
                target,
                headers={"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity", **headers},
            )
            answer = connection.getresponse()
            fields = {key.lower(): value for key, value in answer.getheaders()}
            return answer.status, fields, self._body(url, answer, fields, part, expired)
        except ssl.SSLCertVerificationError as error:
            raise FetchError(
                f"{url}: the certificate cannot be verified ({error.verify_message})",
                hint="Get the file with a browser and use kb ingest.",
            ) from error
        except (OSError, http.client.HTTPException) as error:
            down = host if connection.sock is None else ""
            raise Retry(f"{type(error).__name__}: {error}".rstrip(": "), down=down) from error
        finally:
            watchdog.cancel()
            connection.close()
            self._next_at[host] = self._clock() + self._delay(host)

    def _body(
        self,
        url: str,
        answer: http.client.HTTPResponse,
        fields: Mapping[str, str],
        part: _Part,
        expired: threading.Event,
    ) -> bytes:
        status = answer.status
        if status in REDIRECTS or status == 304:
            return b""
        if status in RETRY_STATUS:
            raise Retry(f"HTTP {status}", _seconds(fields.get("retry-after", "")))
        if status == 416 and part.data:
            part.forget()
            raise Retry("the partial file no longer fits")
        if status not in (200, 206):
            raise FetchError(f"{url}: HTTP {status}", hint="Check the address in the catalogue.")
        head = part.data if status == 206 and _continues(fields.get("content-range", ""), len(part.data)) else b""
        if status == 206 and not head:
            part.forget()
            raise Retry("the server sent another part than was asked for")
        expected = _length(fields)
        if expected is not None and len(head) + expected > self.limits.max_bytes:
            raise FetchError(
                f"{url}: {len(head) + expected:,} bytes, limit {self.limits.max_bytes:,}",
                hint="Raise the limit or use kb ingest.",
            )
        body = bytearray(head)
        try:
            while chunk := answer.read1(CHUNK):
                body += chunk
                if len(body) > self.limits.max_bytes:
                    raise FetchError(
                        f"{url}: more than {self.limits.max_bytes:,} bytes", hint="Raise the limit or use kb ingest."
                    )
            if expired.is_set():
                raise Retry(f"not complete after {self.limits.max_seconds:.0f} s")
        except (OSError, http.client.HTTPException, Retry):
            part.keep(url, bytes(body), fields)
            raise
        if expected is not None and len(body) - len(head) < expected:
            part.keep(url, bytes(body), fields)
            raise Retry(f"broken off after {len(body):,} of {len(head) + expected:,} bytes")
        return self._decoded(url, bytes(body), fields.get("content-encoding", "identity").lower())

    def _decoded(self, url: str, body: bytes, encoding: str) -> bytes:
        """Some servers compress although identity was asked for; the limit holds for the unpacked size."""
        if encoding in ("", "identity"):
            return body
        if encoding not in ("gzip", "x-gzip", "deflate"):
            raise FetchError(
                f"{url}: unknown content encoding {encoding}", hint="Get the file with a browser and use kb ingest."
            )
        unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)
        try:
            plain = unpacker.decompress(body, self.limits.max_bytes + 1)
        except zlib.error as error:
            raise Retry(f"damaged {encoding} data ({error})") from error
        if len(plain) > self.limits.max_bytes:
            raise FetchError(
                f"{url}: more than {self.limits.max_bytes:,} bytes when unpacked",
                hint="Raise the limit or use kb ingest.",
            )
        return plain

    # --- addresses -----------------------------------------------------------------------------------------------

    def check_url(self, url: str) -> tuple[str, str, int, str]:
        """(scheme, host, port, path and query) of a URL that may be asked for.

        Raises:
            FetchError: another scheme, a user name in the address, an odd port, no host.
        """
        try:
            parts = urllib.parse.urlsplit(url)
            host = (parts.hostname or "").encode("idna").decode("ascii")
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except (ValueError, UnicodeError) as error:
            raise FetchError(f"{url}: not an address ({error})", hint="Correct it in the catalogue.") from error
        if (
            parts.scheme not in ("http", "https")
            or not host
            or parts.username is not None
            or parts.password is not None
        ):
            raise FetchError(
                f"{url}: only plain http and https addresses are fetched", hint="Correct it in the catalogue."
            )
        if port not in PORTS and not self._allow_private:
            raise FetchError(
                f"{url}: port {port} is not fetched from", hint="Get the file with a browser and use kb ingest."
            )
        target = urllib.parse.quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
        query = urllib.parse.quote(parts.query, safe="/%:@!$&'()*+,;=~-._?")
        return parts.scheme, host, port, target + (f"?{query}" if query else "")

    def _public_address(self, host: str, port: int) -> str:
        try:
            found = [info[4][0] for info in self._resolve(host, port, type=socket.SOCK_STREAM)]
        except (OSError, UnicodeError) as error:
            self._dead[host] = f"{host} cannot be resolved ({error})"
            raise FetchError(
                f"{host} cannot be resolved ({error})",
                hint="Is this machine online? kb fetch --from-package works without the web.",
            ) from error
        if not found:
            raise FetchError(f"{host} has no address", hint="Check the address in the catalogue.")
        for address in found:
            if not self._allow_private and not is_public(address):
                raise FetchError(
                    f"{host} leads to {address}, which is not a public address; refused",
                    hint="Use kb ingest for files of your own network.",
                )
        return found[0]

    # --- politeness ----------------------------------------------------------------------------------------------

    def _check_robots(self, url: str) -> None:
        scheme, host, port, target = self.check_url(url)
        site = f"{scheme}://{host}:{port}"
        if site not in self._robots:
            self._robots[site] = self._read_robots(site)
        if not self._robots[site].can_fetch(USER_AGENT, f"{site}{target}"):
            raise FetchError(
                f"{url}: robots.txt of {host} does not allow it", hint="Get the file with a browser and use kb ingest."
            )

    def _read_robots(self, site: str) -> urllib.robotparser.RobotFileParser:
        """Rules of a site as in RFC 9309: none when there is no file, everything closed when the server fails."""
        rules = urllib.robotparser.RobotFileParser()
        url, lines = f"{site}/robots.txt", []
        for _ in range(self.limits.max_redirects + 1):
            try:
                status, fields, body = self._request(url, {}, _Part(None, url))
            except FetchError as error:
                if ": HTTP 4" not in error.message:
                    raise
                break
            if status not in REDIRECTS or not fields.get("location"):
                lines = body[:ROBOTS_BYTES].decode("utf-8", errors="replace").splitlines()
                break
            url = urllib.parse.urljoin(url, fields["location"])
        rules.parse(lines)
        return rules

    def _wait_for(self, host: str) -> None:
        wait = self._next_at.get(host, 0.0) - self._clock()
        if wait > 0:
            self._sleep(wait)

    def _delay(self, host: str) -> float:
        asked = [r.crawl_delay(USER_AGENT) or 0 for site, r in self._robots.items() if f"//{host}:" in site]
        return min(max([self.limits.delay_s, *map(float, asked)]), LONGEST_WAIT_S)


def _cut(connection: http.client.HTTPConnection, expired: threading.Event) -> None:
    """End a connection from outside: a server that drips bytes never runs into the socket's own time limit."""
    expired.set()
    if connection.sock is not None:
        with contextlib.suppress(OSError):
            connection.sock.shutdown(socket.SHUT_RDWR)


def is_public(address: str) -> bool:
    """Whether an IP address lies in the public internet; addresses that carry another one inside are opened first."""
    ip = ipaddress.ip_address(address.split("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo and ip.teredo[1])
        if inner is None and ip in ipaddress.ip_network("64:ff9b::/96"):
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def _seconds(value: str) -> float:
    return float(value) if value.strip().isdecimal() else 0.0


def _length(fields: Mapping[str, str]) -> int | None:
    value = fields.get("content-length", "")
    return int(value) if value.isdecimal() and "chunked" not in fields.get("transfer-encoding", "") else None


def _continues(content_range: str, at: int) -> bool:
    match = re.match(r"bytes (\d+)-\d+/", content_range)
    return bool(match) and int(match[1]) == at


class _Part:
    """What arrived of a broken download. It is used again only with a strong validator, so two versions never mix."""

    def __init__(self, folder: Path | None, url: str, data: bytes = b"", validator: str = "") -> None:
        self._folder, self._url, self.data, self._validator = folder, url, data, validator

    @classmethod
    def load(cls, folder: Path | None, url: str) -> _Part:
        part = cls(folder, url)
        if folder is not None and (paths := part._paths()) and all(p.is_file() for p in paths):
            with contextlib.suppress(ValueError, OSError, AttributeError):
                part._validator = str(json.loads(paths[1].read_text(encoding="utf-8")).get("validator", ""))
                part.data = paths[0].read_bytes()
        return part

    def headers(self, url: str) -> dict[str, str]:
        if not (self.data and self._validator) or url != self._url:
            return {}
        return {"Range": f"bytes={len(self.data)}-", "If-Range": self._validator}

    def keep(self, url: str, data: bytes, fields: Mapping[str, str]) -> None:
        etag = fields.get("etag", "")
        validator = etag if etag and not etag.startswith("W/") else fields.get("last-modified", "")
        resumable = fields.get("accept-ranges", "").lower() == "bytes" or "content-range" in fields
        if (
            not (validator and resumable and data)
            or url != self._url
            or fields.get("content-encoding", "identity") != "identity"
        ):
            return
        self.data, self._validator = data, validator
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            body, about = self._paths()
            body.write_bytes(data)
            about.write_text(json.dumps({"url": url, "validator": validator}), encoding="utf-8")

    def forget(self) -> None:
        self.data, self._validator = b"", ""
        if self._folder is not None:
            for path in self._paths():
                path.unlink(missing_ok=True)

    def _paths(self) -> tuple[Path, Path]:
        assert self._folder is not None
        name = hashlib.sha256(self._url.encode()).hexdigest()[:32]
        return self._folder / f"{name}.part", self._folder / f"{name}.json"
