"""Tokens of mails: computed, never stored, and good as long as their key is in the set."""

from core.secret import Secret
from db.ids import new_id
from db.keyset import Keyset
from db.tokens import mail_token, mail_token_of_hash, token_hash

OLD, NEW = Secret("the old secret, of thirty-two bytes at least"), Secret("the new secret, of thirty-two bytes")


def test_a_mail_keeps_its_token_over_a_rotation_of_the_keys() -> None:
    job = new_id()
    token = mail_token(Keyset([OLD]), "tfx_", "a-purpose", job)
    wanted = token_hash(token)
    assert mail_token_of_hash(Keyset([NEW, OLD]), "tfx_", "a-purpose", job, wanted) == token
    assert mail_token(Keyset([NEW, OLD]), "tfx_", "a-purpose", job) != token
    assert mail_token_of_hash(Keyset([NEW]), "tfx_", "a-purpose", job, wanted) is None
    assert mail_token_of_hash(Keyset([OLD]), "tfx_", "another-purpose", job, wanted) is None
