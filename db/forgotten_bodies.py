"""What stored answers say once something in them is forgotten: expressions over `body` and `status` of their rows."""

from typing import Final

__all__ = ["FORGOTTEN_BODY", "NO_TEXT", "REDACTED_BODY", "SHOWS_COMMENT", "WITHOUT_COMMENT"]

REDACTED_BODY: Final = b'{"redacted":true}'
"""What a used idempotency key answers once its body is forgotten: the change it stands for is still not made again."""

# An answer that shows a comment keeps its shape and its ids. No text has this in it: there its quotes would be escaped.
SHOWS_COMMENT: Final = "position(convert_to('\"html\":', 'UTF8') in body) > 0"
WITHOUT_COMMENT: Final = "convert_to((convert_from(body, 'UTF8')::jsonb || %s::jsonb)::text, 'UTF8')"
NO_TEXT: Final = '{"body": "", "html": "", "mentions": []}'

# A refusal stays a problem document that says which kind it was, and by which rule.
FORGOTTEN_BODY: Final = """
case when status < 400 then %s
else convert_to(json_strip_nulls(json_build_object(
    'type', coalesce(convert_from(body, 'UTF8')::jsonb ->> 'type', 'about:blank'),
    'title', coalesce(convert_from(body, 'UTF8')::jsonb ->> 'title', 'Forgotten'), 'status', status,
    'detail', 'What this answer said was forgotten for good.',
    'code', coalesce(convert_from(body, 'UTF8')::jsonb ->> 'code', 'forgotten'),
    'reason', convert_from(body, 'UTF8')::jsonb ->> 'reason'))::text, 'UTF8') end
"""
