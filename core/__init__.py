"""The pure domain: commands in, events out. No I/O, no clock, no randomness of its own."""
