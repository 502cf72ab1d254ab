"""The sender of our mails, as it is set. Light: every command checks its settings."""

from email.errors import HeaderParseError
from email.headerregistry import Address
from email.utils import parseaddr

__all__ = ["sender_address"]


def sender_address(text: str) -> Address:
    """The address in "Name <somebody@example.com>" or "somebody@example.com". Raises ValueError."""
    name, address = parseaddr(text)
    if "@" not in address or not text.isprintable():
        raise ValueError("no mail address")
    try:
        return Address(name, addr_spec=address)
    except HeaderParseError as error:
        raise ValueError("no mail address") from error
