"""The limit of time where what it raises is lost."""

from __future__ import annotations

import signal
import time

import pytest

from tapecli.cli.perform import limited
from tapecli.errors import TapeError


class Callback:
    """What raises in here is lost: Python only tells that it was ignored."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGALRM)


def test_what_is_lost_in_a_callback_is_lost_without_a_word_and_comes_again(capfd: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        with limited(0.05):
            Callback()
            time.sleep(60)

    with pytest.raises(TapeError) as error:
        work()
    assert error.value.code == "limit"
    assert capfd.readouterr().err == ""


def test_what_others_lose_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    class Other:
        def __del__(self) -> None:
            raise ValueError("lost")

    told = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.unraisablehook", told.append)
        with limited(30):
            Other()
    assert [type(what.exc_value) for what in told] == [ValueError]
