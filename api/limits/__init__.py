"""How often somebody may ask: who is counted, by which policy, and what the headers of an answer say about it."""
