"""What reports say of a team, read in one moment with the eyes of whoever asked for one: one module for each kind.

No more rows are read than are printed; what is beyond them is counted.
"""
