"""`docs/cookbook.md`: every operation of the API as a command of curl and of HTTPie, in an order that works.

`python -m tests.support.cookbook` writes it from the document; `tests/system/test_cookbook.py` runs it whole, once
with each program, and compares the page. A new operation needs one `Step` in `chapters.py` (or `board_chapters.py`, if
it is about what is on a board), at a place where the variables of its path are set: what it asks for comes from the
document (method, path, example of the body), so that usually a sentence is enough. See `step.py` for the rest.
"""
