"""Live feeds: what was committed, to everybody who reads a team in this process."""
