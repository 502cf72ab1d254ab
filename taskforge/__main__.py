"""`python -m taskforge`, the same as `taskforge`."""

from taskforge.cli import main

if __name__ == "__main__":
    main()
