"""Embedded services for development and tests: PostgreSQL, Valkey and a Kafka-compatible broker on loopback."""

from taskforge.devstack.errors import DataDirBusy, DevstackError, ServiceFailed
from taskforge.devstack.stack import ALL, DevStack, Kind, ServiceUrls, running_devstack

__all__ = [
    "ALL",
    "DataDirBusy",
    "DevstackError",
    "Kind",
    "ServiceFailed",
    "ServiceUrls",
    "DevStack",
    "running_devstack",
]
