"""Embedded services for development and tests: PostgreSQL, Valkey and a Kafka-compatible broker on loopback."""

from taskforge.devstack.errors import DataDirBusy, DevstackError, ServiceFailed
from taskforge.devstack.stack import ALL, Kind, Services, ServiceUrls, running_services

__all__ = [
    "ALL",
    "DataDirBusy",
    "DevstackError",
    "Kind",
    "ServiceFailed",
    "ServiceUrls",
    "Services",
    "running_services",
]
