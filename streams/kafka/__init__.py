"""The broker: connections, topics, and the watch over its lives."""
