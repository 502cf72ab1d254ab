"""Signers for tests: one installation's, and a stranger's."""

from core.secret import Secret
from db.keyset import Keyset
from db.signed import Signer

SIGNER = Signer(Keyset([Secret("the keys of this installation, for tests")]))
STRANGER = Signer(Keyset([Secret("the keys of another installation")]))
