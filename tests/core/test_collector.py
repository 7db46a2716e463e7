"""The collector of cycles is at rest where that is meant, and works as before everywhere else."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from tapecli import collector


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(collector, "_own", False)
    yield
    gc.unfreeze()
    gc.enable()


def test_it_rests_within_and_works_after() -> None:
    with collector.resting():
        assert not gc.isenabled()
        with collector.resting():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(KeyError), collector.resting():
        raise KeyError
    assert gc.isenabled()


def test_what_others_put_to_rest_stays_so() -> None:
    gc.disable()
    collector.wake()
    with collector.importing(), collector.resting():
        assert not gc.isenabled()
    assert not gc.isenabled() and not gc.get_freeze_count()


def test_a_process_of_our_own() -> None:
    collector.rest()
    assert not gc.isenabled()
    collector.wake()
    before = gc.get_freeze_count()
    assert gc.isenabled() and before
    with collector.importing():
        assert not gc.isenabled()
        made = [[k] for k in range(100)]
    assert gc.isenabled() and gc.get_freeze_count() >= before + len(made)


def test_libraries_of_somebody_else_are_looked_at() -> None:
    with collector.importing():
        assert gc.isenabled()
    assert not gc.get_freeze_count()
