"""The kinds of long work of this version, each with what its steps work with. Loaded by workers only."""

from collections.abc import Callable, Sequence
from typing import Final

from streams.operations.bootstrap import BootstrapPorts, bootstrap
from streams.operations.erasure import ErasurePorts, erasure
from streams.operations.export import ExportPorts, export
from streams.operations.kinds import Kind
from streams.operations.notices import NoticeSender
from streams.operations.offboarding import off_boarding, team_redaction
from streams.operations.redaction import RedactionPorts, comment_redaction, task_redaction
from streams.operations.report import ReportPorts, report
from streams.operations.runner import OperationRunner
from taskforge.parts.collecting import collecting_of
from taskforge.parts.composition import Composition
from taskforge.parts.work_samples import operation_samples, printing_samples

__all__ = ["KINDS", "operation_runner", "report_runner"]

REPORTS_AT_ONCE: Final = 2
"""Reports that one worker prints at a time: each keeps a core busy."""


def _export(made: Composition) -> Kind:
    return export(ExportPorts(made.pools.api, made.objects, made.settings.objects.export_bytes))


def _redaction_ports(made: Composition) -> RedactionPorts:
    return RedactionPorts(made.pools.worker, made.teams, made.valkey, made.objects)


def _erasure(made: Composition) -> Kind:
    return erasure(ErasurePorts(_redaction_ports(made)))


def _task_redaction(made: Composition) -> Kind:
    return task_redaction(_redaction_ports(made))


def _comment_redaction(made: Composition) -> Kind:
    return comment_redaction(_redaction_ports(made))


def _off_boarding(made: Composition) -> Kind:
    return off_boarding(_redaction_ports(made))


def _team_redaction(made: Composition) -> Kind:
    return team_redaction(_redaction_ports(made))


def _bootstrap(made: Composition) -> Kind:
    return bootstrap(BootstrapPorts(made.pools.worker, made.objects))


KINDS: Final[Sequence[Callable[[Composition], Kind]]] = (
    _export,
    _bootstrap,
    _erasure,
    _task_redaction,
    _comment_redaction,
    _off_boarding,
    _team_redaction,
)
"""Each makes one kind out of the process that moves it. Reports have a runner of their own."""


def operation_runner(made: Composition) -> OperationRunner:
    """The runner of all kinds but reports, with its numbers."""
    kinds = [kind(made) for kind in KINDS]
    runner = made.operations = OperationRunner(made.pools.worker, kinds, NoticeSender(made.valkey, made.signer))
    made.show(lambda: operation_samples(runner.statistics()))
    return runner


def report_runner(made: Composition) -> OperationRunner:
    """The runner of reports, with its numbers."""
    ports = ReportPorts(made.pools.worker, made.objects, collecting_of(made))
    notify = NoticeSender(made.valkey, made.signer)
    runner = OperationRunner(made.pools.worker, [report(ports)], notify, at_once=REPORTS_AT_ONCE, name="printing")
    made.reports = runner
    made.show(lambda: printing_samples(runner.statistics()))
    return runner
