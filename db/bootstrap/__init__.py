"""What a copy of a team begins with: everything that is there after one event, and the checkpoint that proves it."""
