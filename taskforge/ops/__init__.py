"""The page for those who operate it, on the listener of a worker."""
