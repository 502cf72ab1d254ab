"""What is done because time has passed."""
