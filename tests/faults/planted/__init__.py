"""Bugs for the harness to find. Each module, once imported, has put one into the program of its process.

`start/sitecustomize.py` imports the one that the environment names, in every Python process of a system (site,
"sitecustomize"), so that the product itself knows nothing of it.
"""
