"""What tests share, one module per thing. Nothing in here is a test."""
