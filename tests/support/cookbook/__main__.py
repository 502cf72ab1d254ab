"""`python -m tests.support.cookbook` writes the page."""

from tests.support.cookbook.page import PAGE, page

PAGE.write_text(page())
