"""Long work: kinds of operations, how one is moved from step to step, and what its user hears of it."""
