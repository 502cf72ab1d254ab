"""A run of an hour ended with "1 unexpected answers", and neither which answer it was, nor whose."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from benchmarks import load
from benchmarks.load import Load
from benchmarks.measure import Sample, in_turn

pytestmark = pytest.mark.anyio

WRONG = b'{"code":"overloaded","detail":"Too much is waiting."}'
TASK = "019a0000-0000-7000-8000-000000000001"


class Server:
    """Answers 200 to everything, except 503 to one request."""

    def __init__(self) -> None:
        self.asked = 0
        self.port = 0
        self.connections: set[asyncio.Task[None]] = set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.add(asyncio.create_task(self.serve(reader, writer)))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                await reader.readexactly(int(length[0].split(b":")[1]) if length else 0)
                self.asked += 1
                status, body = (b"503 Unavailable", WRONG) if self.asked == 20 else (b"200 OK", b"{}")
                writer.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))
                await asyncio.sleep(0.002)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    listening = await asyncio.start_server(server.accept, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    yield server
    listening.close()
    await asyncio.gather(*server.connections)


@pytest.fixture(params=["wrk", "k6"])
def tool(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "wrk" and load.WRK is None:
        pytest.skip("wrk is not installed")
    if request.param == "k6":
        monkeypatch.setattr(load, "WRK", None)
    name: str = request.param
    return name


async def test_the_first_unexpected_answer_is_told_with_its_side(server: Server, tool: str) -> None:
    job = Load(f"http://127.0.0.1:{server.port}", clients=2, seconds=1, targets=[(TASK, TASK)])

    async def fine() -> Sample:
        return Sample(1.0, 1.0, 1.0)

    with pytest.raises(RuntimeError) as raised:
        await in_turn(1, {"theirs": fine, "ours": lambda: load.run(job)})
    message = str(raised.value)
    assert message.startswith("ours, turn 1: 1 unexpected answers; the first: 503 ")
    assert "overloaded" in message


async def test_what_a_side_raises_says_which_side_it_was() -> None:
    async def broken() -> Sample:
        raise ValueError("a mistake")

    with pytest.raises(ValueError, match="a mistake") as raised:
        await in_turn(2, {"ours": broken})
    assert raised.value.__notes__ == ["in turn 1 of ours"]


async def test_an_answer_that_is_right_but_late_fails_nothing() -> None:
    text = """  Latency Distribution
     50%    1.00ms
     99%    2.00ms
  Socket errors: connect 0, read 0, write 0, timeout 1
Requests/sec:   1234.50
Unexpected answers: 0
"""
    sample = load._read_wrk(text)
    assert (sample.errors, sample.late, sample.rate) == (0, 1, 1234.5)
    assert load._read_wrk(text.replace("read 0", "read 2")).first_error == "2 failed to read"
