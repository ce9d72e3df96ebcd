"""The console's composition root: ports in, application out. Tests hand it ports of their own."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import structlog
from fastapi import APIRouter, FastAPI

from adapters.alerts.second_looks import SecondLooks
from adapters.alerts.table import AlertTable
from adapters.archive.archive import Archive, open_archive
from adapters.archive.follower import ArchiveFollower, Since
from adapters.archive.layout import ArchiveKind, policy_key
from adapters.archive.payment_index import PaymentIndex
from adapters.archive.rule_sums import DECISION_COLUMNS, LABEL_COLUMNS, RuleSums
from adapters.audit.chain import AuditChain
from adapters.aws.stream_writer import KinesisWriter, StreamRecord
from adapters.events.outbox import Outbox
from adapters.files.ground_truth import Truth, ground_truth
from adapters.files.growing import GrowingFiles
from adapters.files.preferences import StoredPreferences
from adapters.objects.opening import open_objects
from adapters.objects.store import ObjectStore
from adapters.oidc.provider import Client, OpenIdProvider
from adapters.policy.backtests import StoredBacktests
from adapters.policy.changes import PolicyChanges
from adapters.policy.source import PolicyStore, policy_files
from adapters.program.child_work import ChildWork
from adapters.program.job_metrics import JobAddress, job_url
from adapters.program.stored_secret import stored_secret
from console.access import Access, SessionStore
from console.api import build_app
from console.audit import Audit, AuditLog
from console.door import Door
from console.pages import Page
from console.periodic import PeriodicTask
from console.routes.acts import acts_router
from console.routes.alerts import alerts_router
from console.routes.audit import audit_router
from console.routes.cases import cases_router
from console.routes.find import find_router
from console.routes.lab import lab_router
from console.routes.lists import lists_router
from console.routes.live import live_router
from console.routes.models import models_router
from console.routes.rules import rules_router
from console.routes.system import system_router
from console.routes.team import looks_router, team_router
from console.services.acts import ActDesk
from console.services.alerts import AlertDesk
from console.services.audit import AuditDesk
from console.services.background import Background
from console.services.backtests import BacktestDesk
from console.services.case import CaseDesk
from console.services.changes import ChangeDesk
from console.services.dead_letters import DEAD_LETTER_COLUMNS, DeadLetterDesk
from console.services.find import FindDesk
from console.services.job_window import JobWindow
from console.services.lab import Lab, Launcher
from console.services.links import LinkDesk
from console.services.lists import ListPart
from console.services.live import LIVE_COLUMNS, LiveBoard, Paused
from console.services.models import ModelDesk, Overview
from console.services.policy import PolicyNow
from console.services.queue import Queue
from console.services.reach import Reach, Watched
from console.services.rules import RuleDesk
from console.services.system import SystemBoard
from console.services.team import TeamDesk
from console.single_sign_on import SingleSignOn
from console.users import Role
from fraud.decision.policy.bundle import PolicyBundle
from fraud.decision.policy.compiled import CompiledPolicy, PolicyError
from fraud.decision.policy.compiler import compile_policy
from fraud.decision.rules.fields import fields_of
from fraud.decision.scorer import VersionedScorer
from fraud.errors import MisconfiguredError, ServiceError
from fraud.features import catalogue_of
from fraud.settings import Oidc, Settings
from operations import backtest_process
from operations.confirmed import ConfirmedFraud
from operations.dead_letters import DeadLetterStore
from operations.label_follower import LabelFollower
from operations.lists import ListDesk
from operations.payment_follower import PaymentFollower

log = structlog.get_logger()

_NEWEST_OBJECTS = 300
"""Decisions that are read at the start, to fill the charts: at two objects a batch some minutes."""

_NEWEST_DEAD_LETTERS = 1_000
_FOLLOWING_ATTEMPTS = 2
"""The next look is a new attempt anyway, and pages shall soon say that the archive is out of reach."""

_LABELS_GIVE_UP_S = 5.0
_HOUR = dt.timedelta(hours=1)


@dataclass(frozen=True)
class Ports:
    """What the console works on.

    Attributes:
        alerts: the alert table.
        archive: what cases read.
        followed: the same archive, for following it.
        payments: the index over it.
        write_label: puts a label on the labels stream, given its key (the card) and bytes.
        dead_letters: archived dead letters.
        policy: the policy's files.
        overview: knows the models.
        models: the model of a version; None where it is not at hand.
        job: where the job says how it is; None where nothing is configured.
        truth: which transactions are fraud; None where nobody knows.
        launcher: starts the lab's producers; None where there is no lab.
        clock: aware UTC time.
        store: what consoles share.
        chain: the audit log of all consoles, in the store.
        audit: takes user, act and object of every change and of every read of card tokens.
        flush_audit: writes to the chain what waits for it.
    """

    alerts: AlertTable
    archive: Archive
    followed: Archive
    payments: PaymentIndex
    write_label: Callable[[str, bytes], None]
    dead_letters: DeadLetterStore
    policy: PolicyStore
    overview: Overview
    models: Callable[[str], VersionedScorer | None]
    job: JobAddress | None
    truth: GrowingFiles[Truth] | None
    launcher: Launcher | None
    clock: Callable[[], dt.datetime]
    store: ObjectStore
    chain: AuditChain
    audit: Audit
    flush_audit: Callable[[], None]

    def clock_ms(self) -> int:
        """The time in milliseconds since the epoch."""
        return round(self.clock().timestamp() * 1000)


def open_ports(
    settings: Settings,
    overview: Overview,
    models: Callable[[str], VersionedScorer | None],
    launcher: Launcher | None = None,
) -> Ports:
    """The ports that the settings name.

    Raises:
        MisconfiguredError: table, archive, stream or store cannot be used.
    """
    alerts = AlertTable(settings.alerts, settings.aws, announce=bool(settings.events.receivers))
    alerts.require()
    archive = open_archive(settings.archive, settings.aws)
    archive.require()
    labels = KinesisWriter(settings.streams.labels, settings.aws, give_up_s=_LABELS_GIVE_UP_S)
    address, truth = job_url(settings), settings.console.ground_truth
    store = open_objects(settings.console.store, settings.aws)
    chain = AuditChain(store)
    try:
        chain.head()
    except ServiceError as error:
        raise MisconfiguredError("console.store", f"{settings.console.store} cannot be used: {error}") from None
    audit = AuditLog(chain, lambda: time.time_ns() // 1_000_000)
    return Ports(
        alerts=alerts,
        archive=archive,
        followed=open_archive(settings.archive, settings.aws, _FOLLOWING_ATTEMPTS),
        payments=PaymentIndex(Path(settings.console.folder)),
        write_label=lambda key, data: labels.write([StreamRecord(key, data)]),
        dead_letters=DeadLetterStore(archive, settings.aws),
        policy=PolicyStore(policy_files(settings.policy.path, settings.aws, settings.lists.path)),
        overview=overview,
        models=models,
        job=None if address is None else JobAddress(address),
        truth=None if truth is None else ground_truth(Path(truth)),
        launcher=launcher,
        clock=lambda: dt.datetime.now(dt.UTC),
        store=store,
        chain=chain,
        audit=audit,
        flush_audit=audit.flush,
    )


def compose(
    settings: Settings,
    ports: Ports,
    access: Access,
    host: str = "127.0.0.1",
    single_sign_on: SingleSignOn | None = None,
) -> FastAPI:
    """The application with all its pages.

    Args:
        settings: how pages show and rate what they find; where things are is in the ports.
        ports: what the pages work on.
        access: who may enter.
        host: the address it listens at; any but the loopback is reached over HTTPS only.
        single_sign_on: see `single_sign_on_of`; None where there is none.

    Raises:
        MisconfiguredError: a lab is asked for where none may be.
    """
    background = Background(ports.clock_ms)
    alerts, watching = alert_part(settings, ports), watching_part(settings, ports)
    rules = rules_part(settings, ports)
    pages = [
        watching.live,
        *alerts.pages,
        watching.system,
        lists_page(settings, ports),
        rules.page,
        models_page(ports, background),
        *watching.lab,
        *team_pages(settings, ports, background),
        audit_page(ports, background),
    ]
    probes = {"alerts": lambda: ports.alerts.get("health"), "archive": ports.archive.require, "audit": ports.chain.head}
    repeated = [*alerts.background, *watching.background, *rules.background]
    repeated.append(PeriodicTask("audit log", 5.0, ports.flush_audit))
    repeated.append(PeriodicTask("sessions", 600.0, access.sweep))
    currency = settings.money.base_currency
    door = Door.of(settings.console, host)
    return build_app(
        access,
        pages,
        probes,
        repeated,
        door=door,
        audit=ports.audit,
        base_currency=currency,
        parts=alerts.parts,
        single_sign_on=single_sign_on,
        preferences=StoredPreferences(ports.store),
    )


def single_sign_on_of(
    settings: Oidc, access: Access, sessions: SessionStore, clock: Callable[[], float]
) -> SingleSignOn | None:
    """Signing in with the provider that the settings name; None where they name none.

    Raises:
        MisconfiguredError: the secret cannot be read.
    """
    if settings.issuer is None:
        return None
    secret = None if settings.client_secret is None else stored_secret("oidc.client_secret", settings.client_secret)
    client = Client(
        settings.issuer, settings.client_id, None if secret is None else secret.decode().strip(), settings.redirect_url
    )
    roles = {group: Role[role.upper()] for group, role in settings.roles.items()}
    return SingleSignOn(
        OpenIdProvider(client, clock),
        access,
        sessions,
        roles,
        settings.groups_claim,
        settings.name_claim,
        time.time,
    )


class AlertPart(NamedTuple):
    """Where alerts are worked.

    Attributes:
        pages: queue, case and search.
        parts: of the API that several pages use.
        background: what keeps them up to date.
        desk: changes alerts.
        queue: lists them.
        follower: takes payments over into the index.
    """

    pages: list[Page]
    parts: list[APIRouter]
    background: list[PeriodicTask]
    desk: AlertDesk
    queue: Queue
    follower: PaymentFollower


def alert_part(settings: Settings, ports: Ports) -> AlertPart:
    """The pages where alerts are worked."""
    case_by = settings.console.case_by
    queue = Queue(ports.alerts, ports.clock_ms, case_by)
    follower = PaymentFollower(ports.archive, ports.payments, ports.clock, settings.console.history_days)
    desk = AlertDesk(
        ports.alerts,
        lambda key: queue.of_key(key) or ports.payments.alert_of_key(key),
        ports.write_label,
        ports.clock,
        ports.audit,
        queue.note,
        settings.console.undo_seconds * 1000,
        confirmed_fraud(settings, ports).take,
    )
    cases = CaseDesk(
        desk,
        ports.alerts,
        queue,
        ports.payments,
        lambda: follower.complete,
        ports.archive.read_table,
        ports.models,
        policies_of(settings, ports),
        settings.money.base_currency,
        catalogue_of(settings),
        case_by,
    )
    links = LinkDesk(desk, ports.alerts, ports.payments)
    find = FindDesk(ports.alerts, queue, ports.payments, lambda: follower.complete)
    pages = [
        Page("queue", "Queue", Role.VIEWER, alerts_router(desk, queue, settings.console.sla_minutes)),
        Page("case", "Case", Role.VIEWER, cases_router(cases, links), listed=False),
        Page("find", "Search", Role.VIEWER, find_router(find)),
    ]
    background = [
        PeriodicTask("queue reload", 600.0, queue.reload),
        PeriodicTask("queue refresh", 1.0, queue.refresh),
        PeriodicTask("queue refresh, late alerts", 15.0, lambda: queue.refresh(far=True)),
        PeriodicTask("payments", 2.0, follower.turn),
        PeriodicTask("pending labels", 5.0, desk.deliver),
        PeriodicTask("labels of others", 5.0, label_follower(settings, ports).turn),
    ]
    acts = ActDesk(list_desk(settings, ports), desk, ports.payments, ports.clock_ms, ports.audit)
    return AlertPart(pages, [acts_router(acts)], background, desk, queue, follower)


def policies_of(settings: Settings, ports: Ports) -> Callable[[str], CompiledPolicy | None]:
    """The policy of a version: one that decided something, or that in force; None where it is neither, or refused."""
    fields = fields_of(catalogue_of(settings).features)

    @lru_cache(maxsize=8)
    def compiled(version: str) -> CompiledPolicy:
        stored = ports.archive.get(policy_key(version))
        bundle = ports.policy.read() if stored is None else PolicyBundle.from_bytes(stored)
        if bundle.version != version:
            raise LookupError(version)
        return compile_policy(bundle, fields, settings.money.base_currency)

    def find(version: str) -> CompiledPolicy | None:
        try:
            return compiled(version)
        except (LookupError, PolicyError, MisconfiguredError):
            return None

    return find


class RulesPart(NamedTuple):
    """Where rules are worked.

    Attributes:
        page: the rules.
        background: what works off backtests, and sums up what rules find.
        followers: what sums up, of decisions and of labels.
    """

    page: Page
    background: list[PeriodicTask]
    followers: list[PaymentFollower]


def rules_part(settings: Settings, ports: Ports) -> RulesPart:
    """The rules of the policy, tried on archived decisions at the default costs."""
    fields = fields_of(catalogue_of(settings).features)

    def compiled(bundle: PolicyBundle) -> CompiledPolicy:
        return compile_policy(bundle, fields, settings.money.base_currency)

    policy = PolicyNow(ports.policy, compiled)
    kept, approval = PolicyChanges(ports.store), settings.console.approval
    changes = ChangeDesk(ports.policy, policy, compiled, kept, ports.clock_ms, ports.audit, approval=approval)
    backtests = BacktestDesk(
        StoredBacktests(ports.store),
        partial(ChildWork, backtest_process.MODULE),
        backtest_process.read,
        ports.clock_ms,
        ports.audit,
    )
    request, budget = partial(backtest_process.request_of, settings), settings.console.reviews_per_day
    sums = RuleSums(Path(settings.console.folder), settings.console.history_days)
    followers = [
        PaymentFollower(ports.archive, sums, ports.clock, settings.console.history_days, kind, columns)
        for kind, columns in ((ArchiveKind.DECISIONS, DECISION_COLUMNS), (ArchiveKind.LABELS, LABEL_COLUMNS))
    ]
    desk = RuleDesk(
        compiled,
        sums,
        lambda: all(follower.complete for follower in followers),
        backtests,
        request,
        policy,
        changes,
        budget,
    )
    page = Page("rules", "Rules", Role.VIEWER, rules_router(desk, changes, backtests))
    summing = [PeriodicTask("rule figures", 5.0, follower.turn) for follower in followers]
    return RulesPart(page, [PeriodicTask("backtests", 2.0, backtests.turn), *summing], followers)


def confirmed_fraud(settings: Settings, ports: Ports) -> ConfirmedFraud:
    """Puts what analysts confirm as fraud on lists, as the policy says."""
    desk = list_desk(settings, ports)
    return ConfirmedFraud(desk, desk.policy)


def label_follower(settings: Settings, ports: Ports) -> LabelFollower:
    """Puts what labels of other programs confirm as fraud on the same lists."""

    def device_of(key: str) -> str | None:
        payment = ports.payments.of_key(key)
        return None if payment is None else payment["device_id"]

    confirmed = confirmed_fraud(settings, ports)
    return LabelFollower(ports.followed, settings.job.query, confirmed, device_of, ports.store, ports.clock)


def list_desk(settings: Settings, ports: Ports) -> ListDesk:
    """Reads and changes the living lists, beside those of the policy's files."""
    store, fields = ports.policy.lists, fields_of(catalogue_of(settings).features)
    assert store is not None
    policy = PolicyNow(ports.policy, lambda bundle: compile_policy(bundle, fields, settings.money.base_currency))
    return ListDesk(store, policy, ports.clock_ms)


def lists_page(settings: Settings, ports: Ports) -> Page:
    """The lists and what is on them."""
    return Page("lists", "Lists", Role.VIEWER, lists_router(ListPart(list_desk(settings, ports), ports.audit)))


def team_pages(settings: Settings, ports: Ports, background: Background) -> list[Page]:
    """The team's figures, and second looks where some alerts are decided twice."""
    chosen = settings.console
    looks, share = SecondLooks(ports.store), chosen.second_look_share
    desk = TeamDesk(ports.alerts, looks, background, ports.clock_ms, ports.audit, chosen.sla_minutes * 60_000, share)
    again = Page("second-looks", "Second look", Role.ANALYST, looks_router(desk))
    return [*([again] if share else []), Page("team", "Team", Role.LEAD, team_router(desk))]


def audit_page(ports: Ports, background: Background) -> Page:
    """The audit log."""
    return Page("audit", "Audit", Role.LEAD, audit_router(AuditDesk(ports.chain, background)))


def models_page(ports: Ports, background: Background) -> Page:
    """The models, and what they are worth."""
    return Page("model", "Model", Role.VIEWER, models_router(ModelDesk(ports.overview, background)))


class WatchingPart(NamedTuple):
    """The pages that watch the system.

    Attributes:
        live: its page.
        system: its page.
        lab: its page, or none.
        background: what feeds them.
    """

    live: Page
    system: Page
    lab: list[Page]
    background: list[PeriodicTask]


def watching_part(settings: Settings, ports: Ports) -> WatchingPart:
    """Live, System and, on a local stack, Lab.

    Raises:
        MisconfiguredError: a lab is asked for where none may be.
    """
    clock = ports.clock_ms
    reaches: dict[str, Callable[[], Reach]] = {}
    job = JobWindow()
    receivers = _Receivers(settings, ports)
    board = LiveBoard(
        settings.money.base_currency,
        clock,
        job,
        reaches,
        truth_known=ports.truth is not None,
        paused=lambda: receivers.paused,
    )
    dead_letters = DeadLetterDesk(ports.dead_letters, ports.audit)
    system = SystemBoard(
        settings.job.query, settings.model, settings.health.stall_s, clock, job, reaches, lambda: board.versions
    )
    lab = _open_lab(settings, ports, board)
    following = Watched("archive", _Decisions(ports, board, lab), clock)
    reaches["archive"] = lambda: following.reach
    background = [
        PeriodicTask("decisions", 1.0, following),
        PeriodicTask("dead letters", 2.0, Watched("dead letters", _DeadLetters(ports, dead_letters), clock)),
        PeriodicTask("replayed dead letters", 15.0, Watched("replayed dead letters", dead_letters.refresh, clock)),
    ]
    if settings.events.receivers:
        background.append(PeriodicTask("receivers of events", 10.0, receivers))
    source = ports.job
    if source is not None:
        watching = Watched("job", lambda: job.take(source.read(clock())), clock)
        reaches["job"] = lambda: watching.reach
        background.append(PeriodicTask("job", 2.0, watching))
    return WatchingPart(
        Page("live", "Live", Role.VIEWER, live_router(board)),
        Page("system", "System", Role.VIEWER, system_router(system, dead_letters)),
        [] if lab is None else [Page("lab", "Lab", Role.VIEWER, lab_router(lab))],
        background,
    )


def _open_lab(settings: Settings, ports: Ports, board: LiveBoard) -> Lab | None:
    if not settings.console.lab:
        return None
    if ports.launcher is None:
        raise MisconfiguredError("console.lab", "this program cannot start producers")
    currency = settings.money.base_currency
    return Lab(settings.aws, settings.console, currency, ports.launcher, board, ports.clock_ms, ports.audit)


class _Decisions:
    """Takes new decisions over from the archive, after what is known of them: one turn a call."""

    def __init__(self, ports: Ports, board: LiveBoard, lab: Lab | None) -> None:
        self._truth = ports.truth
        self._follower = ArchiveFollower(ports.followed, Since(_NEWEST_OBJECTS, ports.clock() - _HOUR))
        self._board = board
        self._lab = lab
        self._clock = ports.clock_ms

    def __call__(self) -> None:
        began_ms = self._clock()
        for producer, truths in () if self._truth is None else self._truth.read_new():
            self._board.add_truth(producer, truths)
        for _, table in self._follower.new(ArchiveKind.DECISIONS, LIVE_COLUMNS):
            self._board.decided(table)
        self._board.looked(began_ms)
        if self._lab is not None:
            self._lab.observe()


class _Receivers:
    """Looks which receivers of events are paused: one turn a call."""

    def __init__(self, settings: Settings, ports: Ports) -> None:
        self._names = list(settings.events.receivers)
        self._outbox = Outbox(ports.followed)
        self.paused: list[Paused] = []

    def __call__(self) -> None:
        standings = {name: self._outbox.standing(name)[0] for name in self._names}
        self.paused = [
            Paused(name, standing.paused_ms, standing.problem)
            for name, standing in standings.items()
            if standing.paused_ms is not None
        ]


class _DeadLetters:
    """Takes new dead letters over from the archive: one turn a call."""

    def __init__(self, ports: Ports, dead_letters: DeadLetterDesk) -> None:
        self._follower = ArchiveFollower(ports.followed, Since(_NEWEST_DEAD_LETTERS))
        self._dead_letters = dead_letters

    def __call__(self) -> None:
        for key, table in self._follower.new(ArchiveKind.DEAD_LETTERS, DEAD_LETTER_COLUMNS):
            self._dead_letters.take(key, table)
