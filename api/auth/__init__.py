"""Who sends a request: tokens, passwords, addresses, and how long a connection lives on them."""
