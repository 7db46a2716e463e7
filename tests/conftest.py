"""Hypothesis in two sizes, a cache of compiled code for this run alone, and the larger tests left out unless they are
asked for."""

from __future__ import annotations

import os
import signal
import tempfile

import pytest
from hypothesis import HealthCheck, settings

_common = {
    "deadline": None,
    "database": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.filter_too_much],
}
settings.register_profile("small", max_examples=25, derandomize=True, **_common)
settings.register_profile("large", max_examples=1000, **_common)
settings.load_profile(os.environ.get("TAPECLI_HYPOTHESIS", "small"))

# a process begun in the background ignores Ctrl-C, and so would all that it begins
signal.signal(signal.SIGINT, signal.default_int_handler)
# what the user's own cache has must not show, and is not added to
_cache = tempfile.TemporaryDirectory(prefix="tapecli-tests-")
os.environ["TAPECLI_CACHE"] = _cache.name


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests marked `slow` run only where `-m` names them."""
    if config.option.markexpr:
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    if slow:
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]
