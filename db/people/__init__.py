"""People: accounts, sessions, tickets and what they are notified of."""
