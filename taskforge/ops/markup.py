"""What is on the operators' page. Whatever is not written here is escaped here."""

import html
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote, urlencode

from api.markup import document
from db.dead_letters import Replay
from streams.consumers.retries import DELAYS
from streams.consumers.runner import ConsumerStatistics
from streams.dead_letters.letters import Wanted
from streams.dead_letters.replaying import SENT, VERDICTS, Judged, Outcome
from streams.dead_letters.watching import Backlog
from streams.relay_watch import RelayView
from taskforge.letters_shown import LetterView
from taskforge.ops.overview import Overview

__all__ = ["dry_run", "letter", "letters", "overview", "replayed", "said"]

TITLE: Final = "Operations"
STYLES: Final = ("/assets/board/ops.css",)
LATE_SECONDS: Final = 30.0
"""Numbers that are older are said to be old."""


def _page(content: str) -> str:
    return document(TITLE, content, styles=STYLES, body="letters ops")


def said(text: str) -> str:
    """A page that says one thing."""
    return _page(f'<p>{_text(text)}</p><p><a href="/ops">Overview</a></p>')


def overview(shown: Overview) -> str:
    """Relay, consumers, and what was tried again lately."""
    consumers = "".join(_consumer(backlog, shown.here.get(backlog.consumer)) for backlog in shown.backlogs.backlogs)
    old = shown.backlogs.age > LATE_SECONDS or shown.backlogs.at is None
    as_of = f"{shown.backlogs.at:%H:%M:%S} UTC" if shown.backlogs.at else "no look yet"
    broker = "reached" if shown.broker.reachable else "not reached"
    heads = ("Consumer", "Lag", "Retries", "Oldest retry", "Dead letters", "Oldest", "In this worker")
    return _page(
        f'<p class="facts">{_fact("Broker", broker, shown.broker.reachable)}'
        f"{_relay(shown.relay)}{_fact('Numbers of', as_of, not old)}"
        f'<a class="again" href="/ops">Look again</a></p>'
        + _block(
            "Consumers",
            _table(heads, consumers),
        )
        + _block("Replays", _replays(shown.replays))
    )


def _relay(view: RelayView | None) -> str:
    if view is None:
        return _fact("Relay", "too many teams to look at here: see relay_lag_events", fine=True)
    text = f"{view.workers} running, {view.events} events wait" + (f" for {_age(view.seconds)}" if view.events else "")
    return _fact("Relay", text, fine=view.workers > 0 and not view.late)


def _fact(name: str, text: str, fine: bool) -> str:
    return f'<span class="fact {"fine" if fine else "wrong"}"><b>{name}</b> {_text(text)}</span>'


def _consumer(backlog: Backlog, here: ConsumerStatistics | None) -> str:
    lag, retries = sum(backlog.lag.values()), sum(backlog.retries.values())
    by_partition = ", ".join(f"{number}: {left}" for number, left in backlog.lag.items() if left)
    by_delay = ", ".join(f"{DELAYS[n % len(DELAYS)]:g} s: {left}" for n, left in backlog.retries.items() if left)
    link = f"/ops/dead-letters?{urlencode({'consumer': backlog.consumer})}"
    dead = f'<a href="{link}">{backlog.dead}<span class="unseen"> dead letters of {backlog.consumer}</span></a>'
    cells = (
        _number(lag, by_partition and f"partitions {by_partition}"),
        _number(retries, by_delay),
        _text(_since(backlog.oldest_retry)),
        f'<span class="number{" bad" if backlog.dead else ""}">{dead}</span>',
        _text(_since(backlog.oldest_dead)),
        _text(_here(here)),
    )
    return f'<tr><th scope="row">{backlog.consumer}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'


def _number(number: int, details: str) -> str:
    more = f'<span class="details">{_text(details)}</span>' if details else ""
    return f'<span class="number">{number}</span>{more}'


def _here(here: ConsumerStatistics | None) -> str:
    if here is None:
        return "not here"
    if not here.ready:
        return "waits for its group"
    return f"running{f', {here.held} partitions wait' if here.held else ''}"


def _replays(replays: Sequence[Replay]) -> str:
    if not replays:
        return '<p class="help">Nothing was tried again yet.</p>'
    rows = "".join(
        f"<tr><td>{_time(one.at)}</td><td>{_text(one.who)}</td><td>{_text(one.why)}</td><td>{_text(one.wanted)}</td>"
        f'<td><span class="number">{one.letters if one.ended_at else "cut off, or under way"}</span></td></tr>'
        for one in replays
    )
    return _table(("When", "Who", "Why", "Which", "Sent"), rows)


def letters(view: LetterView, wanted: Wanted, found: Sequence[Judged], consumers: Sequence[str], most: int) -> str:
    """The newest dead letters, each with its cause, and a form for a dry run."""
    rows = "".join(_row(view, one) for one in found)
    table = _table(("", "Letter", "Since", "What", "Tried", "Cause", "Status"), rows)
    form = (
        f'<form method="post" action="/ops/dry-run">{table}'
        '<p class="buttons"><button class="primary">Dry run of the chosen ones</button></p></form>'
    )
    filters = _filters(wanted, consumers)
    of_all = _all_of(wanted) if found else ""
    note = f'<p class="help">The newest {most}. The command line has all of them.</p>' if len(found) >= most else ""
    content = form + note + of_all if found else '<p class="help">None.</p>'
    return _page(f'<p><a href="/ops">Overview</a></p>{filters}{_block("Dead letters", content)}')


def _filters(wanted: Wanted, consumers: Sequence[str]) -> str:
    chosen = wanted.consumers[0] if len(wanted.consumers) == 1 else ""
    options = "".join(
        f'<option value="{name}"{" selected" if name == chosen else ""}>{name or "every consumer"}</option>'
        for name in ("", *consumers)
    )
    return (
        '<form class="filters" action="/ops/dead-letters">'
        f'<label>Consumer <select name="consumer">{options}</select></label>'
        f'<label>Cause has <input name="error" value="{_text(wanted.error or "")}"></label>'
        '<button class="secondary">Show</button></form>'
    )


def _all_of(wanted: Wanted) -> str:
    return (
        f'<form method="post" action="/ops/dry-run">{_hidden(wanted)}'
        '<p class="buttons"><button class="secondary">Dry run of all that this list would have</button></p></form>'
    )


def _row(view: LetterView, one: Judged) -> str:
    shown = view.summary(one)
    letter_id = _text(shown["id"])
    checked = " checked" if one.verdict in SENT else ""
    box = f'<input type="checkbox" name="id" value="{letter_id}" aria-label="Choose {letter_id}"{checked}>'
    return (
        f'<tr><td>{box}</td><th scope="row"><a href="/ops/dead-letters/{quote(shown["id"])}">{letter_id}</a></th>'
        f"<td>{_time(one.letter.at)}</td><td>{_text(shown['kind'] or 'unreadable')}</td>"
        f'<td><span class="number">{shown["attempts"]}</span></td>'
        f"<td class='cause'><b>{_text(shown['error_class'])}</b> {_text(shown['error'])}</td>"
        f"<td>{_text(one.verdict)}</td></tr>"
    )


def letter(view: LetterView, one: Judged) -> str:
    """One letter: everything but what it says."""
    shown = view.details(one)
    headers: list[list[str]] = shown.pop("headers")
    facts = "".join(_fact_row(name, value) for name, value in shown.items())
    rows = "".join(_fact_row(name, text) for name, text in headers)
    form = (
        f'<form method="post" action="/ops/dry-run"><input type="hidden" name="id" value="{_text(shown["id"])}">'
        '<p class="buttons"><button class="primary">Dry run</button></p></form>'
    )
    about = f"{_table(('About', ''), facts)}{form}"
    return _page(
        f'<p><a href="/ops">Overview</a> · <a href="/ops/dead-letters">Dead letters</a></p>'
        f"{_block(shown['id'], about)}{_block('Headers', _table(('Header', 'Value'), rows))}"
    )


def _fact_row(name: str, value: object) -> str:
    if isinstance(value, Mapping):
        value = ", ".join(f"{key} {inner}" for key, inner in value.items())
    shown = "" if value is None else str(value)
    return f'<tr><th scope="row">{_text(name.replace("_", " "))}</th><td class="cause">{_text(shown)}</td></tr>'


def dry_run(wanted: Wanted, outcome: Outcome, name: str) -> str:
    """What would happen, and the form that makes it happen."""
    again = "" if wanted.again or not outcome.counts.get("replayed") else _also_replayed(wanted)
    content = _counts(outcome) + again
    if outcome.sent:
        who = (
            f'<p class="help">As {_text(name)}.</p>'
            if name
            else '<label>Who you are <input name="who" required maxlength="200" autocomplete="username"></label>'
        )
        content += (
            f'<form class="stack" method="post" action="/ops/replay">{_hidden(wanted)}{who}'
            '<label>Why, for the audit <input name="why" required maxlength="500"></label>'
            f'<p class="buttons"><button class="primary">Send {_letters(outcome.sent)} again</button></p></form>'
        )
    return _page(f'<p><a href="/ops">Overview</a></p>{_block("Dry run: nothing was sent", content)}')


def _also_replayed(wanted: Wanted) -> str:
    return (
        f'<form method="post" action="/ops/dry-run">{_hidden(wanted)}<input type="hidden" name="again" value="yes">'
        '<p class="buttons"><button class="secondary">Also those that were sent before</button></p></form>'
    )


def replayed(outcome: Outcome) -> str:
    """What has happened."""
    what = f"<p>{_letters(outcome.sent)} sent to where they failed. The audit has it as {outcome.replay_id}.</p>"
    content = f"{what}{_counts(outcome)}"
    return _page(f'<p><a href="/ops">Overview</a></p>{_block("Sent again", content)}')


def _letters(number: int) -> str:
    return f"{number} letter{'' if number == 1 else 's'}"


def _counts(outcome: Outcome) -> str:
    if not outcome.counts:
        return '<p class="help">There are none.</p>'
    rows = "".join(
        f'<tr><td><span class="number">{number}</span></td><th scope="row">{verdict}</th>'
        f"<td>{_text(VERDICTS[verdict])}</td></tr>"
        for verdict, number in outcome.counts.items()
    )
    return _table(("Letters", "Status", "What becomes of them"), rows)


def _hidden(wanted: Wanted) -> str:
    fields = [("id", one) for one in sorted(wanted.ids)] or [("consumer", name) for name in wanted.consumers]
    fields += [("error", wanted.error)] if wanted.error else []
    fields += [("again", "yes")] if wanted.again else []
    return "".join(f'<input type="hidden" name="{name}" value="{_text(value)}">' for name, value in fields)


def _block(title: str, content: str) -> str:
    return f"<section><h2>{_text(title)}</h2>{content}</section>"


def _table(heads: Iterable[str], rows: str) -> str:
    head = "".join(f'<th scope="col">{_text(one)}</th>' if one else "<td></td>" for one in heads)
    return (
        '<div class="scroll" tabindex="0" role="group" aria-label="Table">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _since(moment: datetime | None) -> str:
    return "" if moment is None else _age((datetime.now(UTC) - moment).total_seconds())


def _age(seconds: float) -> str:
    for unit, name in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{max(0.0, seconds):.0f} s"


def _time(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _text(text: str) -> str:
    return html.escape(text)
