"""Load from one core: wrk where it is installed, else k6 (slower itself: ratios come out flatter; results name it)."""

import asyncio
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import httpx
from msgspec import Struct, structs

from benchmarks.machine import LOAD_CORE, busy_seconds, on_core
from benchmarks.measure import Sample

__all__ = ["Load", "TOOL", "k6_path", "run", "run_k6"]

HERE: Final = Path(__file__).parent
WRK: Final = shutil.which("wrk")
TOOL: Final = "wrk" if WRK else "k6"
UNITS: Final = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


class Load(Struct, frozen=True):
    """`clients` connections that ask as fast as they are answered.

    With `targets`, (team id, task id), they PATCH them in turn with ever new titles, else they GET `path`.
    """

    url: str
    path: str = "/"
    headers: Mapping[str, str] = {}
    clients: int = 64
    seconds: float = 3.0
    targets: Sequence[tuple[str, str]] = ()
    expected: int = 200


async def run(load: Load) -> Sample:
    """Run the load; what is answered with another status than expected, or not at all, counts as an error."""
    with tempfile.TemporaryDirectory(prefix="taskforge-load-") as directory:
        plan = Path(directory) / "targets.txt"
        plan.write_text("".join(f"{team} {task}\n" for team, task in load.targets))
        before = busy_seconds(LOAD_CORE)
        sample = await (_wrk(load, plan) if WRK else _k6(load, plan, Path(directory)))
        busy = min(1.0, (busy_seconds(LOAD_CORE) - before) / load.seconds)
    if sample.errors and not sample.first_error:
        sample = structs.replace(sample, first_error=await _asked_again(load))
    return structs.replace(sample, load_busy=busy)


async def _asked_again(load: Load) -> str:
    """What the address answers now, for a load that only counted."""
    async with httpx.AsyncClient(timeout=10) as client:
        answer = await client.get(load.url + load.path, headers=dict(load.headers))
    return f"only counted; asked again, it is {answer.status_code} {answer.text[:300]}"


async def _wrk(load: Load, plan: Path) -> Sample:
    command = [WRK or "wrk", "-t1", f"-c{load.clients}", f"-d{max(1, round(load.seconds))}s", "--latency"]
    for name, value in load.headers.items():
        command += ["-H", f"{name}: {value}"]
    command += ["-s", str(HERE / "load.lua"), load.url + load.path, "--", str(plan), str(load.expected)]
    return _read_wrk(await _output(command))


def _read_wrk(text: str) -> Sample:
    latencies = {share: float(value) * UNITS[unit] for share, value, unit in _LATENCY.findall(text)}
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    if rate is None or len(latencies) < 2:
        raise RuntimeError(f"wrk said:\n{text}")
    # wrk's own count misses a wrong 2xx or 3xx, and ours is made for PATCH only.
    wrong = max(_number(r"Non-2xx or 3xx responses: (\d+)", text), _number(r"Unexpected answers: (\d+)", text))
    broken = {kind: _number(rf"Socket errors:.* {kind} (\d+)", text) for kind in ("connect", "read", "write")}
    first = re.search(r"First unexpected answer: (.*)", text)
    return Sample(
        rate=float(rate[1]),
        p50_ms=latencies["50"],
        p99_ms=latencies["99"],
        errors=wrong + sum(broken.values()),
        first_error=first[1] if first else ", ".join(f"{n} failed to {kind}" for kind, n in broken.items() if n),
        # wrk's word for an answer after more than 2 s. The rival gives some on a slow machine: its 64 clients queue for
        # the lock of one row. They were once taken for unexpected answers.
        late=_number(r"Socket errors:.* timeout (\d+)", text),
    )


def _number(pattern: str, text: str) -> int:
    found = re.search(pattern, text)
    return int(found[1]) if found else 0


_LATENCY: Final = re.compile(r"^\s+(50|99)(?:\.\d+)?%\s+([\d.]+)(us|ms|s|m)\s*$", re.MULTILINE)


async def _k6(load: Load, plan: Path, directory: Path) -> Sample:
    environment = {
        "URL": load.url + load.path,
        "BASE": load.url,
        "HEADERS": json.dumps(dict(load.headers)),
        "CLIENTS": str(load.clients),
        "SECONDS": str(load.seconds),
        "TARGETS": str(plan),
        "EXPECTED": str(load.expected),
    }
    summary, text = await run_k6(HERE / "k6" / "burst.js", environment, directory)
    metrics = summary["metrics"]
    first = _UNEXPECTED.search(text)
    duration = metrics["http_req_duration"]["values"]
    return Sample(
        rate=metrics["http_reqs"]["values"]["rate"],
        p50_ms=duration["med"],
        p99_ms=duration["p(99)"],
        errors=int(metrics["checks"]["values"]["fails"]),
        first_error=first[1] if first else "",
    )


# What the script says of a failed check, in a line of k6's log.
_UNEXPECTED: Final = re.compile(r'msg="unexpected: (.*?)" source=console')


async def run_k6(script: Path, environment: Mapping[str, str], directory: Path) -> tuple[dict[str, Any], str]:
    """Run a k6 script on the load's core: its summary, and what it logged.

    A crossed threshold (exit 99) is the caller's to judge.
    """
    summary = directory / "summary.json"
    command = [k6_path(), "run", "--quiet", "--no-usage-report"]
    for name, value in {**environment, "SUMMARY": str(summary)}.items():
        command += ["--env", f"{name}={value}"]
    text = await _output([*command, str(script)], allowed=(0, 99))
    found: dict[str, Any] = json.loads(summary.read_text())
    return found, text


def k6_path() -> str:
    """The k6 of this environment. Raises RuntimeError when it is not installed."""
    found = shutil.which("k6", path=str(Path(sys.executable).parent)) or shutil.which("k6")
    if found is None:
        raise RuntimeError("k6 is not installed; `make setup-dev` brings it")
    return found


async def _output(command: Sequence[str], allowed: Sequence[int] = (0,)) -> str:
    with on_core(LOAD_CORE):
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
    text = (await process.communicate())[0].decode(errors="replace")
    if process.returncode not in allowed:
        raise RuntimeError(f"{command[0]} ended with {process.returncode}:\n{text[-3000:]}")
    return text
