"""What was done to the whole system from outside, and what must hold afterwards."""
