"""What this engine's tools have returned, per tenant: the source of learned guesses."""

from __future__ import annotations

import json
import threading
from collections import Counter, OrderedDict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class ToolResultMemory:
    """Bounded; the calls used longest ago go first. Thread-safe. Tenants never see each other's results."""

    def __init__(self, max_keys: int = 4096, max_results_per_key: int = 16, max_result_chars: int = 4096) -> None:
        self._max_keys = max_keys
        self._max_results = max_results_per_key
        self._max_chars = max_result_chars
        self._seen: OrderedDict[tuple[str, str, str], Counter[str]] = OrderedDict()
        self._lock = threading.Lock()

    def record(self, tenant: str, name: str, arguments: Mapping[str, Any], result: str) -> None:
        """A call has returned `result`. Results that are too long are not kept."""
        if len(result) > self._max_chars:
            return
        with self._lock:
            for key in ((tenant, name, _canonical(arguments)), (tenant, name, "")):
                counts = self._seen.setdefault(key, Counter())
                self._seen.move_to_end(key)
                if result not in counts and len(counts) >= self._max_results:
                    del counts[min(counts, key=counts.__getitem__)]
                counts[result] += 1
            while len(self._seen) > self._max_keys:
                self._seen.popitem(last=False)

    def likely(self, tenant: str, name: str, arguments: Mapping[str, Any], limit: int) -> list[tuple[str, float]]:
        """At most `limit` results with the belief in each (sum below 1), best first.

        What exactly this call has returned counts four times what the tool has returned to other arguments.
        """
        with self._lock:
            exact = Counter(self._seen.get((tenant, name, _canonical(arguments)), {}))
            named = Counter(self._seen.get((tenant, name, ""), {}))
        scores = {result: named[result] + 3 * exact[result] for result in named | exact}
        total = sum(scores.values()) + 1  # one more: a result that was never seen
        best = sorted(scores, key=lambda result: (-scores[result], result))[:limit]
        return [(result, scores[result] / total) for result in best]


def _canonical(arguments: Mapping[str, Any]) -> str:
    return json.dumps(arguments, ensure_ascii=False, sort_keys=True, default=str)
