"""What leaves as webhooks: where it may go, what is said, and who sends it."""
