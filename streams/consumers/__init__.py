"""Consumer groups over the topics; each is an effect plus the machinery of `runner.py`."""
