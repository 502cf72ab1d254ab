"""What is forgotten: of a task that was deleted for good, and of a user who was erased."""
