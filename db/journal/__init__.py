"""The journal: group commits, history, and how far the relay is."""
