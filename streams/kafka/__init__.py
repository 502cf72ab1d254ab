"""The broker: connections, topics, and the monitor over its lives."""
