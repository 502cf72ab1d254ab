"""Dead letters: records that a consumer has given up, to be looked at and tried again by those who operate it."""
