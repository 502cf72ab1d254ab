"""How many requests in how many seconds. Read from the environment by `taskforge.settings`; the reasons for the
defaults are in `docs/rate-limits.md`."""

from typing import Annotated

from msgspec import Meta, Struct

__all__ = ["LimitSettings"]

MOST = 1_000_000_000
LONGEST = 86_400


class LimitSettings(Struct, frozen=True, kw_only=True, gc=False):
    """A number of requests of 0 switches that limit off. `…_seconds` is the window in which they are counted."""

    principal: Annotated[
        int, Meta(ge=0, le=MOST, description="Requests of one user or API key in a window; 0: no limit.")
    ] = 6_000
    principal_seconds: Annotated[int, Meta(ge=1, le=LONGEST, description="That window in seconds.")] = 60
    address: Annotated[
        int,
        Meta(ge=0, le=MOST, description="Requests of one client address without good credentials; 0: no limit."),
    ] = 1_200
    address_seconds: Annotated[int, Meta(ge=1, le=LONGEST, description="That window in seconds.")] = 60
    login: Annotated[int, Meta(ge=0, le=MOST, description="Logins from one client address; 0: no limit.")] = 10
    login_seconds: Annotated[int, Meta(ge=1, le=LONGEST, description="That window in seconds.")] = 60
    login_account: Annotated[
        int, Meta(ge=0, le=MOST, description="Logins from one client address to one account; 0: no limit.")
    ] = 10
    login_account_seconds: Annotated[int, Meta(ge=1, le=LONGEST, description="That window in seconds.")] = 900
    signup: Annotated[int, Meta(ge=0, le=MOST, description="Sign-ups from one client address; 0: no limit.")] = 60
    signup_seconds: Annotated[int, Meta(ge=1, le=LONGEST, description="That window in seconds.")] = 3_600
    refresh: Annotated[
        int, Meta(ge=0, le=MOST, description="Refreshes of tokens from one client address; 0: no limit.")
    ] = 300
    refresh_seconds: Annotated[int, Meta(ge=1, le=LONGEST, description="That window in seconds.")] = 60
    reset: Annotated[
        int,
        Meta(ge=0, le=MOST, description="Password resets and verifications from one client address; 0: no limit."),
    ] = 20
    reset_seconds: Annotated[int, Meta(ge=1, le=LONGEST, description="That window in seconds.")] = 3_600
    reset_account: Annotated[
        int, Meta(ge=0, le=MOST, description="The same from one client address for one account; 0: no limit.")
    ] = 5
    reset_account_seconds: Annotated[int, Meta(ge=1, le=LONGEST, description="That window in seconds.")] = 3_600
    invitations: Annotated[int, Meta(ge=0, le=MOST, description="Invitations by one user; 0: no limit.")] = 100
    invitations_seconds: Annotated[int, Meta(ge=1, le=LONGEST, description="That window in seconds.")] = 3_600
    accept: Annotated[
        int, Meta(ge=0, le=MOST, description="Invitations accepted from one client address; 0: no limit.")
    ] = 60
    accept_seconds: Annotated[int, Meta(ge=1, le=LONGEST, description="That window in seconds.")] = 3_600
    password: Annotated[
        int, Meta(ge=0, le=MOST, description="Requests of one user that prove their password again; 0: no limit.")
    ] = 10
    password_seconds: Annotated[int, Meta(ge=1, le=LONGEST, description="That window in seconds.")] = 900
