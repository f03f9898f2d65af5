"""Consumers: handed every commit in order, at least once; what they write with it happens exactly once."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest

from changes.followers import NEVER, age, change, logged, logging, prune, until
from factories import Factory, NewTenant
from service import metrics
from service.changes import consumers
from service.changes.consumers import Consumer, Consumers, named
from service.database import Database
from service.errors import Conflict, OperatorError, Unavailable
from service.repos.cursors import ConsumerLag
from service.repos.log import LoggedCommit
from service.settings import Settings
from service.work import Work

WEEK = 7 * 86400.0


class Oops(Exception):
    pass


@dataclass
class Mail:
    """A consumer that notes what it is told: `reset`, or the numbers of a page. It does what `doing` says besides."""

    told: list[tuple[UUID, Any]] = field(default_factory=list)
    doing: Any = None
    resetting: Any = None
    at_work: Counter[Any] = field(default_factory=Counter)
    most_at_work: int = 0

    @property
    def consumer(self) -> Consumer:
        return Consumer("mail", self.handle, self.reset)

    async def handle(self, work: Work, commits: Sequence[LoggedCommit]) -> None:
        with self._alone(work):
            self.told.append((work.tenant, [commit.number for commit in commits]))
            if self.doing is not None:
                await self.doing(work, commits)

    async def reset(self, work: Work) -> None:
        with self._alone(work):
            self.told.append((work.tenant, "reset"))
            if self.resetting is not None:
                await self.resetting(work)

    @contextlib.contextmanager
    def _alone(self, work: Work) -> Any:
        self.at_work[work.tenant] += 1
        self.most_at_work = max(self.most_at_work, self.at_work[work.tenant])
        try:
            yield
        finally:
            self.at_work[work.tenant] -= 1

    def of(self, tenant: NewTenant) -> list[Any]:
        """What it was told of one tenant, pages joined."""
        joined: list[Any] = []
        for each, what in self.told:
            if each == tenant.id:
                joined += [what] if what == "reset" else what
        return joined


@pytest.fixture
async def acme(new: Factory) -> NewTenant:
    return await new.tenant("acme")


@pytest.fixture
def mail() -> Mail:
    return Mail()


@pytest.fixture
def one(database: Database, mail: Mail) -> Consumers:
    """A process whose consumer moves when it is told to."""
    return Consumers(database, [mail.consumer], WEEK)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks and pauses that a test can wait for."""
    for name, seconds in (("_EVERY", 0.01), ("_SWEEP_EVERY", 0.05), ("_FIRST_PAUSE", 0.1)):
        monkeypatch.setattr(consumers, name, seconds)


async def hand_all(running: Consumers, mail: Mail, tenant: NewTenant) -> None:
    """Let it handle whatever there is."""
    while await running.hand_on(mail.consumer, tenant.id):
        pass


async def up_to_date(running: Consumers, mail: Mail, tenant: NewTenant) -> int:
    """Let it handle whatever there is and forget that; answers the number of its place."""
    await hand_all(running, mail, tenant)
    mail.told.clear()
    async with Work(running._database, tenant.id, read_only=True) as work:
        return await work.log.head()


async def lag(database: Database) -> ConsumerLag:
    async with Work(database, None, read_only=True) as work:
        (found,) = await work.cursors.lag()
    return found


def end_pause(superuser: Any) -> None:
    superuser.autocommit = True
    superuser.execute("UPDATE app.cursors SET retry_at = now() - interval '1 second' WHERE retry_at IS NOT NULL")


async def test_a_new_consumer_is_reset_first_and_handed_what_comes_after(
    database: Database, acme: NewTenant, one: Consumers, mail: Mail
) -> None:
    before = await change(database, acme)
    await hand_all(one, mail, acme)
    await change(database, acme, times=2)
    await hand_all(one, mail, acme)
    assert mail.of(acme) == ["reset", before + 1, before + 2]


async def test_commits_are_handed_on_in_order_a_page_at_a_time(
    database: Database, acme: NewTenant, one: Consumers, mail: Mail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "_PAGE", 3)
    before = await up_to_date(one, mail, acme)
    await change(database, acme, times=7)
    await hand_all(one, mail, acme)
    assert [numbers for _, numbers in mail.told] == [
        [before + 1, before + 2, before + 3], [before + 4, before + 5, before + 6], [before + 7],
    ]  # fmt: skip
    await hand_all(one, mail, acme)
    assert len(mail.told) == 3


async def test_a_commit_is_handed_on_as_the_log_has_it(
    database: Database, acme: NewTenant, one: Consumers, mail: Mail
) -> None:
    before = await up_to_date(one, mail, acme)
    handed: list[LoggedCommit] = []

    async def keep(_: Work, commits: Sequence[LoggedCommit]) -> None:
        handed.extend(commits)

    mail.doing = keep
    await change(database, acme, times=3)
    await hand_all(one, mail, acme)
    assert handed == await logged(database, acme, before)


async def note(work: Work, commits: Sequence[LoggedCommit]) -> None:
    """Write a content for every campaign that was made."""
    for commit in commits:
        for table, operation, row, _ in commit.changes:
            if (table, operation) == ("campaigns", "insert"):
                await work.contents.create(row, kind="reel", title=f"Of {commit.number}")


async def noted(database: Database, tenant: NewTenant) -> tuple[int, int]:
    """How many contents there are, and of how many campaigns."""
    async with Work(database, tenant.id, read_only=True) as work:
        text = "SELECT count(*), count(DISTINCT campaign_id) FROM contents WHERE tenant_id = $1"
        row = await work.connection.fetchrow(text, [tenant.id])
    assert row is not None
    return tuple(row)


async def test_what_a_handler_writes_is_there_once_though_it_is_handed_the_same_twice(
    database: Database, acme: NewTenant, one: Consumers, mail: Mail, superuser: Any
) -> None:
    before = await up_to_date(one, mail, acme)
    await change(database, acme, times=3)

    async def stumble(work: Work, commits: Sequence[LoggedCommit]) -> None:
        await note(work, commits)
        if len(mail.told) == 1:
            raise Oops

    mail.doing = stumble
    await hand_all(one, mail, acme)
    assert await noted(database, acme) == (0, 0)
    end_pause(superuser)
    await hand_all(one, mail, acme)
    assert await noted(database, acme) == (3, 3)
    assert [numbers[0] for _, numbers in mail.told[:2]] == [before + 1, before + 1]


async def test_a_crash_between_handling_and_moving_hands_on_again(
    database: Database, acme: NewTenant, one: Consumers, mail: Mail, superuser: Any
) -> None:
    before = await up_to_date(one, mail, acme)
    await change(database, acme, times=2)
    superuser.autocommit = True

    async def crash(work: Work, commits: Sequence[LoggedCommit]) -> None:
        await note(work, commits)
        if len(mail.told) == 1:
            pid = work.connection.raw.get_server_pid()
            superuser.execute("SELECT pg_terminate_backend(%s)", [pid])
            gone = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s"
            await until(lambda: superuser.execute(gone, [pid]).fetchone() == (0,))

    mail.doing = crash
    with pytest.raises(Unavailable):
        await one.hand_on(mail.consumer, acme.id)
    assert (await lag(database)).failing == 0
    await hand_all(one, mail, acme)
    assert [numbers for _, numbers in mail.told[:2]] == [[before + 1, before + 2]] * 2
    assert await noted(database, acme) == (2, 2)


async def test_a_failing_handler_is_called_again_with_the_same_after_a_pause(
    database: Database, acme: NewTenant, one: Consumers, mail: Mail, superuser: Any
) -> None:
    before = await up_to_date(one, mail, acme)
    await change(database, acme)
    failures = metrics.CONSUMER_FAILURES.labels(consumer="mail")._value.get

    async def fail(_: Work, __: Sequence[LoggedCommit]) -> None:
        raise Oops

    mail.doing, counted = fail, failures()
    with logging() as lines:
        for times in (1, 2, 3):
            assert not await one.hand_on(mail.consumer, acme.id)
            assert not await one.hand_on(mail.consumer, acme.id)
            assert mail.of(acme) == [before + 1] * times
            end_pause(superuser)
    assert (await lag(database)).failing == 1
    assert failures() - counted == 3
    assert [(line["event"], line["failures"]) for line in lines] == [("consumer_failed", n) for n in (1, 2, 3)]
    mail.doing = None
    await change(database, acme)
    await hand_all(one, mail, acme)
    assert mail.told[-1] == (acme.id, [before + 1, before + 2])
    assert (await lag(database)).failing == 0


async def test_the_pause_doubles_up_to_a_limit(
    database: Database, acme: NewTenant, one: Consumers, mail: Mail, superuser: Any
) -> None:
    await up_to_date(one, mail, acme)
    await change(database, acme)

    async def fail(_: Work, __: Sequence[LoggedCommit]) -> None:
        raise Oops

    mail.doing = fail
    superuser.autocommit = True
    for failures, most in ((0, 1.0), (1, 2.0), (5, 32.0), (9, 300.0), (10_000, 300.0)):
        superuser.execute("UPDATE app.cursors SET failures = %s, retry_at = NULL", [failures])
        await one.hand_on(mail.consumer, acme.id)
        ((pause,),) = superuser.execute("SELECT extract(epoch FROM retry_at - now()) FROM app.cursors").fetchall()
        assert 0.4 * most < float(pause) <= most


SPOILS = {
    "an error of its own": "raise",
    "a swallowed error of the database": "swallow",
    "a cancellation of something of its own": "cancel",
    "an error of the service": "conflict",
}


@pytest.mark.parametrize("spoil", SPOILS.values(), ids=SPOILS)
async def test_however_a_handler_spoils_its_work_it_is_a_failure_that_is_told(
    database: Database, acme: NewTenant, one: Consumers, mail: Mail, spoil: str
) -> None:
    await up_to_date(one, mail, acme)
    await change(database, acme)

    async def fail(work: Work, _: Sequence[LoggedCommit]) -> None:
        match spoil:
            case "raise":
                raise Oops
            case "swallow":
                with contextlib.suppress(Exception):
                    await work.connection.execute("SELECT 1 / 0")
            case "cancel":
                task = asyncio.create_task(asyncio.sleep(NEVER))
                task.cancel()
                await task
            case "conflict":
                raise Conflict

    mail.doing = fail
    with logging() as lines:
        assert not await one.hand_on(mail.consumer, acme.id)
    assert [line["event"] for line in lines] == ["consumer_failed"]
    assert (await lag(database)).failing == 1


async def test_a_handler_that_takes_too_long_has_failed(
    database: Database, acme: NewTenant, one: Consumers, mail: Mail, monkeypatch: pytest.MonkeyPatch, superuser: Any
) -> None:
    before = await up_to_date(one, mail, acme)
    await change(database, acme)
    monkeypatch.setattr(consumers, "_PATIENCE", 0.05)

    async def dawdle(work: Work, _: Sequence[LoggedCommit]) -> None:
        await note(work, _)
        await asyncio.sleep(NEVER)

    mail.doing = dawdle
    assert not await one.hand_on(mail.consumer, acme.id)
    assert (await lag(database)).failing == 1
    monkeypatch.undo()
    mail.doing = note
    end_pause(superuser)
    await hand_all(one, mail, acme)
    assert mail.of(acme)[:2] == [before + 1] * 2
    assert await noted(database, acme) == (1, 1)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("trouble", ["raises", "hangs"])
async def test_trouble_with_one_tenant_holds_up_neither_the_others_nor_other_consumers(
    database: Database, new: Factory, acme: NewTenant, trouble: str
) -> None:
    globex = await new.tenant("globex")
    mail, search = Mail(), Mail()
    troubled = asyncio.Event()

    async def fail(work: Work, _: Sequence[LoggedCommit]) -> None:
        if work.tenant == acme.id:
            troubled.set()
            if trouble == "hangs":
                await asyncio.sleep(NEVER)
            raise Oops

    both = [mail.consumer, Consumer("search", search.handle, search.reset)]
    async with Consumers.open(database, both, WEEK):
        await until(lambda: len(mail.told) == len(search.told) == 2)
        mail.doing = fail
        last = await change(database, acme)
        await troubled.wait()
        for _ in range(3):
            # One after the other, so that each of them is found by a look of its own.
            expected = await change(database, globex)
            await until(lambda expected=expected: mail.of(globex)[-1] == search.of(globex)[-1] == expected)
        await until(lambda: search.of(acme)[-1] == last)
    assert set(mail.of(acme)[1:]) == {last}


@pytest.mark.usefixtures("quick")
async def test_two_processes_never_handle_a_tenant_together_and_miss_nothing(
    settings: Settings, database: Database, new: Factory, mail: Mail
) -> None:
    tenants = [await new.tenant("acme"), await new.tenant("globex")]
    starts: dict[UUID, int] = {}

    async def start(work: Work) -> None:
        starts[work.tenant] = await work.log.head()

    async def linger(work: Work, commits: Sequence[LoggedCommit]) -> None:
        await note(work, commits)
        await asyncio.sleep(0.002)

    mail.doing, mail.resetting = linger, start
    async with contextlib.AsyncExitStack() as stack:
        runners = []
        for name in ("first", "second"):
            pool = await stack.enter_async_context(
                Database.open(settings.address("quarry_app"), settings.limits, name=name, keyring=database.keyring)
            )
            runners.append(await stack.enter_async_context(Consumers.open(pool, [mail.consumer], WEEK)))
            pool.on_numbered = lambda tenant, _: [each.committed(tenant) for each in runners] and None
        database.on_numbered = lambda tenant, _: [each.committed(tenant) for each in runners] and None
        await until(lambda: len(starts) == 2)
        await asyncio.gather(*(change(database, tenants[n % 2], times=20) for n in range(8)))
        for tenant in tenants:
            await until(lambda tenant=tenant: caught_up(database, mail, tenant))
            assert await noted(database, tenant) == (80, 80)
            handed = mail.of(tenant)
            assert (handed[0], mail.most_at_work) == ("reset", 1)
            assert handed[1:] == list(range(starts[tenant.id] + 1, handed[-1] + 1))


async def caught_up(database: Database, mail: Mail, tenant: NewTenant) -> bool:
    """Whether every commit of the tenant has been handled, those of the handler too."""
    async with Work(database, tenant.id, read_only=True) as work:
        text = "SELECT number FROM app.cursors WHERE tenant_id = $1 AND consumer = 'mail'"
        return bool(await work.connection.fetchval(text, [tenant.id]) == await work.log.head() == mail.of(tenant)[-1])


@pytest.mark.usefixtures("quick")
async def test_commits_of_this_process_are_handed_on_without_waiting_for_a_sweep(
    database: Database, acme: NewTenant, mail: Mail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "_SWEEP_EVERY", NEVER)
    async with Consumers.open(database, [mail.consumer], WEEK) as running:
        await until(lambda: mail.told == [(acme.id, "reset")])
        database.on_numbered = lambda tenant, _: running.committed(tenant)
        last = await change(database, acme)
        await until(lambda: mail.of(acme) == ["reset", last])


@pytest.mark.usefixtures("quick")
async def test_commits_of_others_and_new_tenants_are_found_by_sweeping(
    database: Database, new: Factory, acme: NewTenant, mail: Mail
) -> None:
    async with Consumers.open(database, [mail.consumer], WEEK):
        await until(lambda: mail.told == [(acme.id, "reset")])
        last = await change(database, acme)
        await until(lambda: mail.of(acme) == ["reset", last])
        globex = await new.tenant("globex")
        await until(lambda: mail.of(globex))


async def test_of_a_tenant_that_comes_later_everything_is_handed_on_from_the_first_commit(
    database: Database, new: Factory, one: Consumers, mail: Mail
) -> None:
    globex = await new.tenant("globex")
    last = await change(database, globex)
    await hand_all(one, mail, globex)
    assert mail.of(globex) == list(range(1, last + 1))


async def test_of_a_later_tenant_whose_log_begins_later_a_reset_is_handed_on(
    database: Database, new: Factory, one: Consumers, mail: Mail, superuser: Any
) -> None:
    globex = await new.tenant("globex")
    superuser.autocommit = True
    prune(superuser, globex)
    await change(database, globex)
    await hand_all(one, mail, globex)
    assert mail.of(globex) == ["reset"]


@pytest.mark.usefixtures("quick")
async def test_a_database_that_was_lost_for_a_while_ends_no_consumer(
    database: Database, acme: NewTenant, mail: Mail, superuser: Any
) -> None:
    async with Consumers.open(database, [mail.consumer], WEEK):
        await until(lambda: mail.told)
        # A reset that is lost before it is noted would come again, with the last commit in it.
        first = await change(database, acme)
        await until(lambda: mail.of(acme)[-1:] == [first])
        superuser.autocommit = True
        superuser.execute(f"REVOKE CONNECT ON DATABASE {superuser.info.dbname} FROM PUBLIC, quarry_app")
        with logging() as lines:
            superuser.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'quarry_app'")
            await until(lambda: any(line["event"] == "consumer_waits" for line in lines))
        superuser.execute(f"GRANT CONNECT ON DATABASE {superuser.info.dbname} TO quarry_app")
        last = await change(database, acme)
        await until(lambda: mail.of(acme)[-1] == last)


async def test_whoever_is_behind_what_is_kept_is_reset(
    database: Database, acme: NewTenant, one: Consumers, mail: Mail, superuser: Any
) -> None:
    await up_to_date(one, mail, acme)
    await change(database, acme, times=2)
    superuser.autocommit = True
    prune(superuser, acme)
    last = await change(database, acme)
    await hand_all(one, mail, acme)
    assert mail.of(acme) == ["reset"]
    await change(database, acme)
    await hand_all(one, mail, acme)
    assert mail.of(acme) == ["reset", last + 1]


async def test_what_is_pruned_while_a_consumer_looks_is_noticed(
    database: Database, acme: NewTenant, one: Consumers, mail: Mail, superuser: Any
) -> None:
    await up_to_date(one, mail, acme)
    await change(database, acme, times=2)
    age(superuser, acme)
    superuser.commit()
    last = await change(database, acme)
    superuser.execute("LOCK TABLE app.commits IN ACCESS EXCLUSIVE MODE")
    superuser.execute("SELECT set_config('app.tenant_id', %s, false)", [str(acme.id)])
    assert superuser.execute("SELECT app.prune_log(%s, 10000)", [acme.id]).fetchone()[0] > 2
    handing = asyncio.create_task(hand_all(one, mail, acme))
    await until(lambda: superuser.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()[0])
    superuser.commit()
    await handing
    assert mail.of(acme) == ["reset"]
    await change(database, acme)
    await hand_all(one, mail, acme)
    assert mail.of(acme) == ["reset", last + 1]


async def test_another_life_of_the_database_is_a_reset(
    database: Database, platform: Database, acme: NewTenant, one: Consumers, mail: Mail
) -> None:
    last = await up_to_date(one, mail, acme)
    async with Work(platform, None) as work:
        await work.connection.fetchval("SELECT app.raise_epoch()", ())
    await hand_all(one, mail, acme)
    await change(database, acme)
    await hand_all(one, mail, acme)
    assert mail.of(acme) == ["reset", last + 1]


async def test_a_place_beyond_the_head_is_a_reset(
    database: Database, acme: NewTenant, one: Consumers, mail: Mail, superuser: Any
) -> None:
    last = await up_to_date(one, mail, acme)
    superuser.execute("UPDATE app.cursors SET number = 99")
    superuser.commit()
    await change(database, acme)
    await hand_all(one, mail, acme)
    await change(database, acme)
    await hand_all(one, mail, acme)
    assert mail.of(acme) == ["reset", last + 2]


async def test_a_commit_between_the_reset_and_its_end_is_handed_on(
    database: Database, acme: NewTenant, one: Consumers, mail: Mail
) -> None:
    async def meanwhile(_: Work) -> None:
        mail.resetting = None
        numbers.append(await change(database, acme))

    numbers: list[int] = []
    mail.resetting = meanwhile
    await hand_all(one, mail, acme)
    assert mail.of(acme) == ["reset", *numbers]


async def test_whoever_is_too_far_behind_is_cut_off_until_it_has_handled_a_reset(
    database: Database, acme: NewTenant, one: Consumers, mail: Mail, superuser: Any
) -> None:
    await up_to_date(one, mail, acme)
    await change(database, acme, times=2)
    superuser.autocommit = True
    age(superuser, acme)

    async def fail(_: Work) -> None:
        raise Oops

    mail.resetting = fail
    with logging() as lines:
        await hand_all(one, mail, acme)
        assert (await lag(database)).cut_off == 1
        end_pause(superuser)
        await hand_all(one, mail, acme)
    found = await lag(database)
    assert (found.cut_off, found.failing, found.tenants) == (1, 1, 1)
    assert [line["event"] for line in lines] == ["consumer_cut_off", "consumer_failed", "consumer_failed"]
    assert lines[0]["consumer"] == "mail"
    mail.resetting = None
    end_pause(superuser)
    await hand_all(one, mail, acme)
    last = await change(database, acme)
    await hand_all(one, mail, acme)
    assert mail.of(acme) == ["reset"] * 3 + [last]
    assert (await lag(database)).cut_off == 0


async def test_whoever_is_behind_for_less_than_that_misses_nothing(
    database: Database, acme: NewTenant, mail: Mail, superuser: Any
) -> None:
    one = Consumers(database, [mail.consumer], 2 * 366 * 86400.0)
    before = await up_to_date(one, mail, acme)
    await change(database, acme, times=2)
    superuser.autocommit = True
    age(superuser, acme)
    await hand_all(one, mail, acme)
    assert mail.of(acme) == [before + 1, before + 2]


async def test_a_consumer_that_was_forgotten_begins_with_a_reset(
    database: Database, platform: Database, acme: NewTenant, one: Consumers, mail: Mail
) -> None:
    await up_to_date(one, mail, acme)
    async with Work(platform, None) as work:
        assert await work.connection.fetchval("SELECT app.forget_consumer('mail')", ()) == 1
    await hand_all(one, mail, acme)
    assert mail.of(acme) == ["reset"]


async def test_a_handler_works_as_its_tenant_alone(
    database: Database, new: Factory, acme: NewTenant, one: Consumers, mail: Mail
) -> None:
    globex = await new.tenant("globex")
    await up_to_date(one, mail, acme)
    theirs = await new.campaign(globex)
    seen: list[Any] = []

    async def look(work: Work, _: Sequence[LoggedCommit]) -> None:
        assert work.tenant == acme.id
        rows = await work.connection.fetch("SELECT DISTINCT tenant_id FROM campaigns", ())
        seen.extend(row["tenant_id"] for row in rows)
        seen.append(await work.campaigns.erase(theirs.id))

    mail.doing = look
    await change(database, acme)
    await hand_all(one, mail, acme)
    assert seen == [acme.id, 0]


async def test_two_consumers_of_one_name_are_refused(database: Database, mail: Mail) -> None:
    with pytest.raises(OperatorError, match="two consumers have one name"):
        async with Consumers.open(database, [mail.consumer, Mail().consumer], WEEK):
            pass


@pytest.mark.parametrize("name", ["", "Mail", "mail out", "1st", "mail-out", "m" * 64, "почта", "mail\n"])
async def test_a_name_that_can_not_be_a_place_is_refused(database: Database, mail: Mail, name: str) -> None:
    with pytest.raises(OperatorError) as refused:
        async with Consumers.open(database, [Consumer(name, mail.handle)], WEEK):
            pass
    assert "\n" not in str(refused.value).strip()


@pytest.fixture
def module(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules that an operator may name."""
    (tmp_path / "outgoing.py").write_text(
        "from service.changes.consumers import Consumer\n"
        "async def handle(work, commits): ...\n"
        "def make(settings): return [Consumer('mail', handle), Consumer(settings.environment, handle)]\n"
        "def none(settings): return None\n"
        "def one(settings): return Consumer('mail', handle)\n"
        "def other(settings): return ['mail']\n"
        "def broken(settings): raise RuntimeError('no mail server')\n"
        "def nothing(): return []\n"
        "def iterated(settings): yield Consumer('mail', handle)\n"
        "number = 7\n"
    )
    (tmp_path / "untidy.py").write_text("def make(settings):\n  return [\n")
    (tmp_path / "failing.py").write_text("raise RuntimeError('no mail server\\nat all')\n")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("module")
def test_the_consumers_that_a_setting_names_are_made_with_the_settings(settings: Settings) -> None:
    assert named(settings) == ()
    for name, expected in (("make", ["mail", "test"]), ("iterated", ["mail"])):
        made = named(settings.model_copy(update={"consumers": f"outgoing:{name}"}))
        assert [each.name for each in made] == expected


@pytest.mark.usefixtures("module")
@pytest.mark.parametrize(
    "text",
    [
        "nowhere:make", "outgoing:nothing_there", "outgoing", "outgoing:", ":make", ":", "", ".outgoing:make", "outgoing.make",
        "outgoing:number", "outgoing:none", "outgoing:one", "outgoing:other", "outgoing:broken", "outgoing:nothing",
        "untidy:make", "failing:make", "out going:make", "json:dumps", "outgoing:make:make", "nowhere.at.all:make",
    ],
)  # fmt: skip
def test_a_mistake_in_what_is_named_is_one_clear_line(settings: Settings, text: str) -> None:
    with pytest.raises(OperatorError) as refused:
        named(settings.model_copy(update={"consumers": text}))
    assert str(refused.value).startswith("CONSUMERS: ")
    assert len(str(refused.value).splitlines()) == 1
    assert refused.value.remedy == "name it as package.module:function"
