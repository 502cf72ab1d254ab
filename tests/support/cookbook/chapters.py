"""The cookbook's table: every operation at least once, in an order that works."""

from typing import Final

from tests.support.cookbook.board_chapters import BOARD
from tests.support.cookbook.step import Chapter, Step

__all__ = ["CHAPTERS"]

_PASSWORD: Final = "correct horse battery staple"
_NEXT_PASSWORD: Final = "battery staple horse correct"

_SERVER: Final = Chapter(
    "The server",
    "None of this takes an account.",
    (
        Step(operation="health", says="For whatever restarts processes that hang."),
        Step(operation="readiness", says="For whatever sends requests to processes: 503 while one should get none."),
        Step(operation="metrics", says="In production it is on the operators' listener only."),
        Step(operation="listEventSchemas", says="One for every type of event.", gives={"URN": "items.0.urn"}),
        Step(operation="getEventSchema", says="The `dataschema` of an event is such a name."),
    ),
)

_ACCOUNT: Final = Chapter(
    "An account",
    "Ada signs up, proves that her address is hers, forgets her password and gets another one.",
    (
        Step(
            operation="signUp",
            says="The access token lives ten minutes, the refresh token gets the next pair.",
            first="ADA=ada-$NOW@example.com",
            body={"email": "$ADA", "password": _PASSWORD, "name": "Ada Lovelace"},
            gives={"TOKEN": "access_token", "REFRESH": "refresh_token"},
        ),
        Step(operation="requestEmailVerification", says="A first such mail came with the sign-up."),
        Step(
            operation="verifyEmail",
            says="The token comes from the mail.",
            first='PROOF=$(mailed "$ADA" verify-email)',
            body={"token": "$PROOF"},
        ),
        Step(
            operation="requestPasswordReset", says="The answer does not say who has an account.", body={"email": "$ADA"}
        ),
        Step(
            operation="confirmPasswordReset",
            says="All sessions have ended afterwards.",
            first='PROOF=$(mailed "$ADA" reset-password)',
            body={"token": "$PROOF", "password": _NEXT_PASSWORD},
        ),
        Step(
            operation="logIn",
            says="The account has another session from now on.",
            body={"email": "$ADA", "password": _NEXT_PASSWORD},
            gives={"TOKEN": "access_token", "REFRESH": "refresh_token"},
        ),
        Step(
            operation="refresh",
            says="Keep the new refresh token: the old one is used up.",
            body={"refresh_token": "$REFRESH"},
            gives={"TOKEN": "access_token", "REFRESH": "refresh_token"},
        ),
        Step(
            operation="changePassword",
            says="The tokens of before are of no use any more.",
            body={"password": _NEXT_PASSWORD, "new_password": _PASSWORD},
            gives={"TOKEN": "access_token", "REFRESH": "refresh_token"},
        ),
        Step(operation="getMe", says="Who the token is.", gives={"USER": "id"}),
        Step(operation="patchMe", says="Only what is named changes."),
    ),
)

_ISSUERS: Final = Chapter(
    "Other issuers",
    "Signing in by another issuer is for browsers, and takes one in the settings (`docs/sign-in.md`). Without any, "
    "this is what the operations answer.",
    (
        Step(operation="listSignInIssuers", says="An empty list here."),
        Step(
            operation="beginSignIn",
            says="With an issuer of that name: 302, to it.",
            path={"issuer": "example"},
            answers=404,
        ),
        Step(
            operation="finishSignIn",
            says="The issuer sends the browser here.",
            path={"issuer": "example"},
            query={"code": "abc", "state": "def"},
            answers=404,
        ),
        Step(operation="exchangeSignInCode", says="The code is good in the browser that began.", answers=400),
        Step(operation="linkMyIdentity", says="With a good token of a known issuer: 201.", answers=400),
        Step(operation="listMyIdentities", says="None here."),
        Step(
            operation="unlinkMyIdentity",
            says="There is none to unlink.",
            path={"identity_id": "019a3b1e-5b30-7000-8000-0000000000f1"},
            answers=404,
        ),
    ),
)

_SESSIONS: Final = Chapter(
    "Sessions and API keys",
    "Where Ada is signed in, and what her programs authenticate with.",
    (
        Step(
            operation="logIn",
            says="Another client of Ada's.",
            body={"email": "$ADA", "password": _PASSWORD},
            gives={"OTHER_TOKEN": "access_token"},
        ),
        Step(operation="listMySessions", says="Newest first.", gives={"SESSION": "items.0.id"}),
        Step(operation="revokeMySession", says="The other client is signed out."),
        Step(operation="revokeMySessions", says="`others=true` keeps the session that asks.", query={"others": "true"}),
        Step(
            operation="createMyApiKey",
            says="The token is shown this once.",
            gives={"API_TOKEN": "token", "KEY": "id"},
        ),
        Step(operation="listMyApiKeys", says="Without their tokens."),
        Step(operation="getMyApiKey", says="One of them."),
        Step(operation="listTeams", says="A key is sent like an access token.", by="API_TOKEN"),
        Step(operation="revokeMyApiKey", says="It is of no use from now on."),
        Step(operation="revokeMyApiKeys", says="And so is every other one."),
    ),
)

_TEAM: Final = Chapter(
    "A team",
    "Ada makes a team and invites Grace.",
    (
        Step(operation="createTeam", says="Ada owns it.", gives={"TEAM": "id"}),
        Step(operation="listTeams", says="With Ada's role in each."),
        Step(operation="getTeam", says="`permissions` says what a client should offer."),
        Step(operation="updateTeam", says="A merge patch.", body={"name": "Platform", "time_zone": "Europe/Berlin"}),
        Step(operation="createLabel", says="Its id goes into `label_ids` of tasks.", gives={"LABEL": "id"}),
        Step(operation="updateLabel", says="Its id stays."),
        Step(operation="listLabels", says="By name."),
        Step(
            operation="createInvitation",
            says="By mail; without `email` it is a link, whose token is in the answer.",
            first="GRACE=grace-$NOW@example.com",
            body={"role": "member", "email": "$GRACE"},
        ),
        Step(
            operation="signUp",
            says="Grace makes an account.",
            body={"email": "$GRACE", "password": _PASSWORD, "name": "Grace Hopper"},
            gives={"GRACE_TOKEN": "access_token"},
        ),
        Step(
            operation="acceptInvitation",
            says="Grace joins.",
            first='INVITED=$(mailed "$GRACE" invitation)',
            body={"token": "$INVITED"},
            by="GRACE_TOKEN",
            gives={"USER": "user_id"},
        ),
        Step(operation="createInvitation", says="A link, for ten people.", body={"role": "viewer", "max_uses": 10}),
        Step(operation="listInvitations", says="Those that are open.", gives={"INVITATION": "items.0.id"}),
        Step(operation="getInvitation", says="Who may join by it, and until when."),
        Step(operation="revokeInvitation", says="Nobody joins by it any more."),
        Step(operation="listMembers", says="Ada and Grace."),
        Step(operation="changeRole", says="Grace is an admin now.", body={"role": "admin"}),
    ),
)

_HISTORY: Final = Chapter(
    "What happened",
    "Events, live and afterwards.",
    (
        Step(
            operation="readEvents",
            says="As pages. With `Accept: text/event-stream` it is an endless stream (`curl -N`, `http --stream`).",
            query={"after": "0", "limit": "20"},
        ),
        Step(operation="readOverdue", says="Who is late with what.", query={"tasks": "3"}),
        Step(
            operation="readRecurrence",
            says="When a rule would have its next tasks.",
            query={"rule": "FREQ=WEEKLY;BYDAY=MO", "start": "2031-03-03"},
        ),
        Step(operation="readStats", says="The last twelve weeks, and the board as it is now."),
        Step(
            operation="makeReport",
            says="What is on the board, as a PDF.",
            body={"kind": "board"},
            gives={"PRINTING": "id"},
        ),
        Step(
            operation="getOperation",
            says="Until it is printed; the result is the report.",
            path={"operation_id": "$PRINTING"},
            until=("status", "succeeded"),
            gives={"REPORT": "result.id"},
        ),
        Step(operation="listReports", says="Those of the last 30 days."),
        Step(operation="getReport", says="With an address to download it from.", gives={"PDF": "download_url"}),
        Step(
            operation="makeBootstrap",
            says="What a copy of the team begins with, for a warehouse; the result of its operation is the file.",
            body={"format": "jsonl"},
        ),
        Step(operation="readAudit", says="Who changed which fields; for admins.", query={"type": "task.updated"}),
        Step(operation="markSeen", says="What others changed afterwards is `unread` of the team.", body={"seq": 2}),
        Step(operation="createLiveTicket", says="For a browser's WebSocket.", gives={"TICKET": "ticket"}),
        Step(
            operation="openLive",
            says="A WebSocket, which curl opens and does not speak (28: time is over), and HTTPie does not even open.",
            curl=(
                'curl -sS -i --http1.1 --max-time 1 "$BASE/v1/teams/$TEAM/live?ticket=$TICKET" -o live.txt \\\n'
                "  -H 'Connection: Upgrade' -H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13' \\\n"
                "  -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==' || test $? = 28\n"
                "grep -a '^HTTP/1.1 101' live.txt"
            ),
            answers=426,
        ),
        Step(
            operation="listMyNotifications",
            says="Grace was given a task.",
            by="GRACE_TOKEN",
            query={"unread": "true"},
            gives={"NOTIFICATION": "items.0.id"},
            until=("items.0.kind", "task.assigned"),
        ),
        Step(
            operation="countMyUnreadNotifications",
            says="What a bell shows.",
            by="GRACE_TOKEN",
        ),
        Step(
            operation="readMyNotifications",
            says="One of them; `all` marks every one.",
            by="GRACE_TOKEN",
            body={"ids": ["$NOTIFICATION"]},
        ),
        Step(
            operation="getMyNotificationPreferences",
            says="Every kind, in the inbox and by mail.",
            by="GRACE_TOKEN",
        ),
        Step(
            operation="patchMyNotificationPreferences",
            says="What is left out stays as it is.",
            by="GRACE_TOKEN",
            body={"kinds": {"comment.added": {"mail": False}}, "digest_hour": 7},
        ),
        Step(
            operation="showUnsubscribe",
            says="The token is in the link of a mail that can be switched off. This one is nobody's.",
            query={"token": "tfu_nobody"},
            answers=400,
        ),
        Step(
            operation="unsubscribe",
            says="What a mailbox sends (RFC 8058).",
            query={"token": "tfu_nobody"},
            answers=400,
        ),
    ),
)

_WEBHOOKS: Final = Chapter(
    "Webhooks",
    "What happens in the team is sent to an endpoint; `docs/webhooks.md` says what a receiver does with it.",
    (
        Step(
            operation="createWebhook",
            says="The secret is shown this once.",
            body={
                "team_id": "$TEAM",
                "url": "https://hooks.example.com/taskforge",
                "event_types": ["task.created", "task.moved"],
                "filter": {"status": ["in_review", "done"]},
            },
            gives={"SUBSCRIPTION": "id", "SECRET": "secret"},
        ),
        Step(operation="listWebhooks", says="All of the team's.", query={"team_id": "$TEAM"}),
        Step(operation="updateWebhook", says="An empty list is every type.", body={"event_types": []}),
        Step(operation="getWebhook", says="Also how its endpoint is."),
        Step(operation="testWebhook", says="Whether anybody listens, the log says.", gives={"DELIVERY": "id"}),
        Step(operation="getDelivery", says="Its attempts, each with what came of it."),
        Step(operation="redeliver", says="At once, and under the same id."),
        Step(operation="listDeliveries", says="Newest first.", query={"limit": "10"}),
        Step(
            operation="recoverWebhook",
            says="After an endpoint was away for long: from when on, at most 14 days ago.",
            first="SINCE=$(date -u +%Y-%m-%dT%H:%M:%SZ)",
            body={"since": "$SINCE"},
        ),
        Step(
            operation="rotateWebhookSecret",
            says="The old one is good for 24 hours.",
            gives={"SECRET": "secret"},
        ),
        Step(operation="deleteWebhook", says="With its log."),
    ),
)

_END: Final = Chapter(
    "Leaving",
    "What takes longer than a request is an operation that can be watched.",
    (
        Step(operation="exportMe", says="Everything about Ada.", gives={"OPERATION": "id"}),
        Step(
            operation="getOperation",
            says="Until it has succeeded; its result has an address that is good for five minutes.",
            until=("status", "succeeded"),
            gives={"DOWNLOAD": "result.download_url"},
        ),
        Step(
            operation="getObject",
            says="The address is all that it takes.",
            curl='curl -sS --fail-with-body -L "$(at "$DOWNLOAD")" -o export.zip\npython3 -m zipfile -t export.zip',
            httpie='http -I --check-status --follow "$(at "$DOWNLOAD")" > export.zip\npython3 -m zipfile -t export.zip',
        ),
        Step(operation="removeMember", says="Grace leaves.", by="GRACE_TOKEN"),
        Step(operation="deleteTeam", says="The team, with everything in it.", gives={"OPERATION": "id"}),
        Step(
            operation="getOperation",
            says="Until it is gone from everywhere; the history is kept for 30 days, for nobody but the operator.",
            until=("status", "succeeded"),
        ),
        Step(
            operation="deleteMe",
            says="Grace's account. Whoever is the only owner of a team cannot go before it is gone (409).",
            by="GRACE_TOKEN",
            body={"password": _PASSWORD},
        ),
        Step(
            operation="logOut",
            says="Without a body, the session of the access token.",
            body={"refresh_token": "$REFRESH"},
        ),
    ),
)

CHAPTERS: Final = (_SERVER, _ACCOUNT, _ISSUERS, _SESSIONS, _TEAM, *BOARD, _HISTORY, _WEBHOOKS, _END)
