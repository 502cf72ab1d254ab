"""Who is notified of what: preferences, notifications as they are written, and the mails that collect them."""
