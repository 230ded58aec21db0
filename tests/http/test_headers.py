"""Request headers: what is taken, what is refused."""

from __future__ import annotations

import pytest

from actorfaas.http import headers
from actorfaas.http.problems import Problem


@pytest.mark.parametrize("given", [b"a", b"A-1_2.3", b"x" * 64])
def test_a_sane_request_id_is_taken(given: bytes) -> None:
    assert headers.request_id({b"x-request-id": given}) == given.decode()


@pytest.mark.parametrize("given", [b"", b"x" * 65, b"a b", b"a\r\nb", b"\xff", b"a\n"])
def test_any_other_request_id_is_replaced(given: bytes) -> None:
    assert headers.request_id({b"x-request-id": given}).startswith("req_")


def test_request_ids_are_unique() -> None:
    assert headers.request_id({}) != headers.request_id({})


@pytest.mark.parametrize(("given", "seconds"), [(b"1", 1.0), (b"0.25", 0.25), (b"100", 30.0)])
def test_timeout_can_only_shorten(given: bytes, seconds: float) -> None:
    assert headers.timeout_s({b"actorfaas-timeout": given}, 30.0) == seconds
    assert headers.timeout_s({}, 30.0) == 30.0


@pytest.mark.parametrize("given", [b"0", b"-1", b"nan", b"inf", b"soon", b"", b"1e9"])
def test_senseless_timeout_is_refused(given: bytes) -> None:
    with pytest.raises(Problem) as caught:
        headers.timeout_s({b"actorfaas-timeout": given}, 30.0)
    assert caught.value.status == 400


def test_strategy() -> None:
    assert headers.strategy({}, "auto") == "auto"
    assert headers.strategy({b"actorfaas-strategy": b" Fork "}, "auto") == "fork"
    with pytest.raises(Problem) as caught:
        headers.strategy({b"actorfaas-strategy": b"magic"}, "auto")
    assert "one of auto, resident, swap, reap, faasnap, fork, cold" in str(caught.value)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (b"respond-async", True),
        (b"wait=10, Respond-Async; x=y", True),
        (b"return=minimal", False),
        (b"not-respond-async", False),
    ],
)
def test_prefer(given: bytes, wanted: bool) -> None:
    assert headers.responds_async({b"prefer": given}) is wanted


def test_idempotency_key() -> None:
    assert headers.idempotency_key({}) == ""
    assert headers.idempotency_key({b"idempotency-key": b'"k-1"'}) == '"k-1"'
    for bad in (b"", b"a b", b"x" * 256, b"\xc3\xa4"):
        with pytest.raises(Problem):
            headers.idempotency_key({b"idempotency-key": bad})
