"""The data directory: who may use it, and the secrets generated for it."""

import fcntl
import os
import secrets
from pathlib import Path

import msgspec

from taskforge.devstack import private
from taskforge.devstack.errors import DataDirBusy, DevstackError

__all__ = ["ROLES", "DataDir", "LocalSecrets"]

ROLES = ("taskforge_owner", "taskforge_api", "taskforge_writer", "taskforge_worker")
LOG_LIMIT = 10 * 1024 * 1024


def _password() -> str:
    return secrets.token_urlsafe(32)


class LocalSecrets(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Secrets of one embedded stack; URL-safe, so that they fit a connection string unquoted.

    A directory that was made before there were keysets has `jwt_secret` instead of `keys`.
    """

    postgres_password: str
    valkey_password: str
    role_passwords: dict[str, str]
    keys: tuple[str, ...] = ()
    jwt_secret: str | None = None

    def __post_init__(self) -> None:
        if not self.keyset:
            raise ValueError("there are no keys in it")

    @property
    def keyset(self) -> tuple[str, ...]:
        """What TASKFORGE_KEYS stands for: an older directory's one secret stays in the set."""
        return self.keys if self.jwt_secret is None else (*self.keys, self.jwt_secret)

    def __repr__(self) -> str:
        return "LocalSecrets(********)"

    @classmethod
    def generate(cls) -> "LocalSecrets":
        return cls(
            postgres_password=_password(),
            valkey_password=_password(),
            keys=(secrets.token_urlsafe(48),),
            role_passwords={role: _password() for role in ROLES},
        )


class DataDir:
    """`.taskforge/`: locked by one supervisor at a time; the lock goes with the process, however it ends."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock: int | None = None

    @property
    def postgres(self) -> Path:
        return self.path / "postgres"

    @property
    def ports(self) -> Path:
        return self.path / "ports.json"

    def lock(self) -> None:
        """Raises `DataDirBusy` naming the holder, `DevstackError` when the directory cannot be made."""
        try:
            private.make_folder(self.path)
            private.close_to_others(self.path)
            handle = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, private.FILE)
        except OSError as error:
            raise DevstackError(f"cannot use {self.path} as data directory: {error.strerror}") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 20).decode(errors="replace").strip() or "unknown"
            os.close(handle)
            raise DataDirBusy(
                f"{self.path} is in use by another TaskForge (pid {holder}); stop it or choose another --data"
            ) from None
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode())
        self._lock = handle

    def unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def secrets(self) -> LocalSecrets:
        """The secrets of this directory, generated at the first call (mode 0600)."""
        path = self.path / "secrets.json"
        try:
            return msgspec.json.decode(path.read_bytes(), type=LocalSecrets)
        except FileNotFoundError:
            return self._write_secrets(path)
        except msgspec.DecodeError as error:
            raise DevstackError(f"{path} is damaged ({error}); restore it, or move {self.path} away") from error

    def _write_secrets(self, path: Path) -> LocalSecrets:
        if (self.postgres / "PG_VERSION").exists() and (self.postgres / "global" / "pg_control").exists():
            raise DevstackError(f"{path} is missing but {self.postgres} has data; restore it, or move {self.path} away")
        made = LocalSecrets.generate()
        draft = path.with_suffix(f".{os.getpid()}")
        draft.unlink(missing_ok=True)
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, private.FILE)
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(made)))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        return made

    def log(self, name: str) -> Path:
        """The log file of a service, moved to `.1` when it has grown past 10 MiB."""
        path = self.path / "logs" / f"{name}.log"
        private.make_folder(path.parent)
        if path.exists() and path.stat().st_size > LOG_LIMIT:
            path.replace(path.with_suffix(".log.1"))
        return path
