"""The parts of a process: what they are, how each role is made of them, how they stop, what operators see of them."""
