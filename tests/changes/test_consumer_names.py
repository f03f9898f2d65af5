"""Names of consumers, and the setting that names them."""

from __future__ import annotations

from typing import Any

import pytest

from changes.mail import WEEK, Mail
from service.changes.consumers import Consumer, Consumers, configured
from service.database.database import Database
from service.errors import OperatorError
from service.settings.settings import Settings


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
    assert configured(settings) == ()
    for name, expected in (("make", ["mail", "test"]), ("iterated", ["mail"])):
        made = configured(settings.model_copy(update={"consumers": f"outgoing:{name}"}))
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
        configured(settings.model_copy(update={"consumers": text}))
    assert str(refused.value).startswith("CONSUMERS: ")
    assert len(str(refused.value).splitlines()) == 1
    assert refused.value.remedy == "name it as package.module:function"
