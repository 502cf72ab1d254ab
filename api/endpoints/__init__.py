"""Endpoints, one module per noun. Each has `register(router, services)` and the `OPERATIONS` that document it."""

from importlib import import_module
from types import ModuleType
from typing import Final

from blacksheep import Router

from api.openapi import Operation
from api.services import Services

__all__ = ["MODULES", "all_operations", "endpoint_modules", "register_all"]

MODULES: Final = (
    "api.endpoints.tasks",
    "api.endpoints.task_changes",
    "api.endpoints.activity",
    "api.endpoints.undo",
    "api.endpoints.comments",
    "api.endpoints.attachments",
    "api.endpoints.uploads",
    "api.endpoints.teams",
    "api.endpoints.offboarding",
    "api.endpoints.seen",
    "api.endpoints.columns",
    "api.endpoints.audit",
    "api.endpoints.insights",
    "api.endpoints.recurrence",
    "api.endpoints.webhooks",
    "api.endpoints.webhook_deliveries",
    "api.endpoints.reports",
    "api.endpoints.bootstraps",
    "api.endpoints.invitations",
    "api.endpoints.auth",
    "api.endpoints.passwords",
    "api.endpoints.me",
    "api.endpoints.notifications",
    "api.endpoints.api_keys",
    "api.endpoints.identities",
    "api.endpoints.oidc",
    "api.endpoints.operations",
    "api.endpoints.erasure",
    "api.endpoints.objects",
    "api.endpoints.unsubscribe",
    "api.endpoints.feeds",
    "api.endpoints.live_tickets",
    "api.endpoints.live",
    "api.endpoints.event_schemas",
    "api.endpoints.ops",
    "api.endpoints.docs",
    "api.endpoints.topics",
    "api.pages",
)


def endpoint_modules() -> tuple[ModuleType, ...]:
    """Every module with endpoints, imported late so that listing them costs nothing."""
    return tuple(import_module(name) for name in MODULES)


def all_operations() -> tuple[Operation, ...]:
    """Every documented endpoint, in the order of the modules."""
    return tuple(operation for module in endpoint_modules() for operation in module.OPERATIONS)


def register_all(router: Router, services: Services) -> None:
    """Register every endpoint on the one router."""
    for module in endpoint_modules():
        module.register(router, services)
