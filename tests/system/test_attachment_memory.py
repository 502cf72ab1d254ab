"""Large files cost an API process no memory: neither one that is taken and handed out, nor one that is refused."""

import contextlib
import hashlib
import itertools
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx
import pytest
from anyio.from_thread import start_blocking_portal

from tests.support.account import NO_TLS, Account
from tests.support.directories import open_directory
from tests.support.s3 import KEY_ID, SECRET, running_s3
from tests.support.s3proxy import needs_s3proxy, running_s3proxy
from tests.support.system import System, children

pytestmark = [pytest.mark.system, pytest.mark.proof, pytest.mark.timeout(240)]

MIB: Final = 1024 * 1024
LIMIT: Final = 25 * MIB
MOST_GROWTH: Final = 20 * MIB
PIECE: Final = hashlib.sha256(b"seed").digest() * (64 * 1024 // 32)
HEAD: Final = b'--x\r\nContent-Disposition: form-data; name="file"; filename="large.bin"\r\n\r\n'
TAIL: Final = b"\r\n--x--\r\n"
FORM: Final = {"Content-Type": "multipart/form-data; boundary=x"}


@contextlib.contextmanager
def bucket(kind: str, folder: Path) -> Iterator[str]:
    """The URL of a bucket: in this process, or of a real server of S3's interface."""
    if kind == "bucket":
        with running_s3() as s3:
            yield s3.url
    else:
        needs_s3proxy()
        with start_blocking_portal() as portal, portal.wrap_async_context_manager(running_s3proxy(folder)) as url:
            yield url


@pytest.fixture(scope="module", params=["directory", "bucket", "s3proxy"])
def system(
    request: pytest.FixtureRequest, services_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    """The whole system over one kind of store."""
    with contextlib.ExitStack() as stack:
        environment = {}
        if request.param != "directory":
            environment = {
                "TASKFORGE_OBJECTS__URL": stack.enter_context(bucket(request.param, tmp_path_factory.mktemp("bucket"))),
                "TASKFORGE_OBJECTS__ACCESS_KEY_ID": KEY_ID,
                "TASKFORGE_OBJECTS__SECRET_ACCESS_KEY": SECRET,
            }
        system = System(stack.enter_context(open_directory(services_root)), environment=environment)
        try:
            system.start()
            yield system
            assert system.stop() == 0
        finally:
            system.kill()


@pytest.fixture
def account(system: System) -> Iterator[Account]:
    account = Account(system.url)
    with contextlib.closing(account.http):
        yield account


@pytest.fixture
def path(account: Account) -> str:
    """Where files come to a task, after a first one, which has loaded what the process needs for any."""
    team = account.team("With files")
    path = f"/v1/tasks/{account.task(team, 'With files')['id']}/attachments"
    for _ in range(3):
        take(account, path, MIB)
    return path


def form(size: int) -> Iterator[bytes]:
    """A form with a file of so many bytes, a piece at a time."""
    yield HEAD
    whole, rest = divmod(size, len(PIECE))
    yield from itertools.repeat(PIECE, whole)
    yield PIECE[:rest] + TAIL


def take(account: Account, path: str, size: int) -> None:
    """Send a file and get it back."""
    length = {"Content-Length": str(len(HEAD) + size + len(TAIL))}
    answer = account.http.post(path, content=form(size), headers=FORM | length, timeout=60)
    assert answer.status_code == 201, answer.text
    made, digest, received = answer.json(), hashlib.sha256(), 0
    with httpx.Client(verify=NO_TLS, follow_redirects=True, timeout=60) as browser:
        address = account.http.get(f"/v1/attachments/{made['id']}/download").headers["location"]
        with browser.stream("GET", str(account.http.base_url.join(address))) as file:
            for chunk in file.iter_bytes():
                digest.update(chunk)
                received += len(chunk)
    assert (received, digest.hexdigest()) == (size, made["digest"])


def growth(system: System, work: Callable[[], object]) -> int:
    """By how many bytes the API processes are larger at their largest, while the work is done, than before it."""
    pids = children(system.pid_of("taskforge api"))
    for pid in pids:
        Path(f"/proc/{pid}/clear_refs").write_text("5")  # Forget how large it has been.
    before = {pid: _kilobytes(pid, "VmRSS") for pid in pids}
    work()
    return sum(max(0, _kilobytes(pid, "VmHWM") - before[pid]) for pid in pids) * 1024


def _kilobytes(pid: int, name: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split(f"{name}:")[1].split()[0])


def test_a_file_of_25_mib_goes_up_and_down(system: System, account: Account, path: str) -> None:
    assert growth(system, lambda: take(account, path, LIMIT)) < MOST_GROWTH


@pytest.mark.parametrize("chunked", [False, True], ids=["declared", "chunked"])
def test_a_gibibyte_is_refused_early(system: System, account: Account, path: str, chunked: bool) -> None:
    status, sent, seconds = 0, 0, 0.0

    def send() -> None:
        nonlocal status, sent, seconds
        began = time.monotonic()
        status, sent = refused(account, path, 1024 * MIB, chunked=chunked)
        seconds = time.monotonic() - began

    assert growth(system, send) < MOST_GROWTH
    assert status == 413
    assert seconds < 10 * system.slowness
    assert sent < 512 * MIB
    assert account.call("GET", path)["next_cursor"] is None


def refused(account: Account, path: str, size: int, *, chunked: bool) -> tuple[int, int]:
    """The status, and how many bytes could be sent; the connection must be closed after the answer."""
    base = urlsplit(str(account.http.base_url))
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
    lines = [f"POST {path} HTTP/1.1", f"Host: {base.netloc}", length, f"Content-Type: {FORM['Content-Type']}"]
    lines.append(f"Authorization: {account.http.headers['authorization']}")
    sent = 0
    with socket.create_connection((base.hostname or "", base.port or 0), timeout=30) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        try:
            for piece in form(size):
                connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
                sent += len(piece)
        except OSError:  # It has been closed under us, which is the point.
            pass
        answer = b""
        try:
            while chunk := connection.recv(65_536):
                answer += chunk
        except OSError:
            pass
    assert b"connection: close" in answer.lower(), answer[:300]
    return int(answer.split(b" ", 2)[1]), sent


def test_one_byte_more_than_the_limit_is_refused_and_leaves_nothing(account: Account, path: str) -> None:
    answer = account.http.post(path, content=form(LIMIT + 1), headers=FORM, timeout=60)
    assert (answer.status_code, answer.json()["code"]) == (413, "body-too-large")
    assert len(account.call("GET", path)["items"]) == 3
