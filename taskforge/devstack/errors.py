"""What can go wrong with embedded services.

DevstackError           one line for the person who started it
├── DataDirBusy         another supervisor holds the data directory
├── PortTaken           the service's port was taken between choosing and listening
└── ServiceFailed       a service ended, or did not answer, before it was ready
"""

__all__ = ["DataDirBusy", "DevstackError", "PortTaken", "ServiceFailed"]


class DevstackError(Exception):
    pass


class DataDirBusy(DevstackError):
    pass


class ServiceFailed(DevstackError):
    pass


class PortTaken(DevstackError):
    def __init__(self, name: str, port: int) -> None:
        super().__init__(f"{name}: port {port} is taken by another program")
        self.name = name
        self.port = port
