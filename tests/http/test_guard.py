"""Who may talk to the node."""

from __future__ import annotations

import pytest

from actorfaas.config import Settings
from actorfaas.http.guard import Guard, host_name, is_loopback
from actorfaas.http.problems import Problem

HOST = {b"host": b"127.0.0.1:8080"}


def refused(guard: Guard, headers: dict[bytes, bytes]) -> int:
    """The status with which headers are refused, 0 when they pass."""
    try:
        guard.check(headers)
    except Problem as problem:
        return problem.status
    return 0


@pytest.mark.parametrize(
    "host", [b"127.0.0.1:8080", b"localhost", b"LOCALHOST:1", b"[::1]:8080", b"x.localhost:80", b""]
)
def test_local_node_answers_to_its_own_names(host: bytes) -> None:
    assert refused(Guard(Settings()), {b"host": host}) == 0


@pytest.mark.parametrize(
    "host", [b"evil.example", b"evil.example:8080", b"127.0.0.1.evil.example", b"localhost.evil.example"]
)
def test_local_node_does_not_answer_to_a_name_that_was_rebound_to_it(host: bytes) -> None:
    guard = Guard(Settings())
    assert refused(guard, {b"host": host}) == 403
    assert refused(guard, {b"host": host}) == 403, "a refusal is not remembered as accepted"


def test_allowed_hosts_add_names() -> None:
    guard = Guard(Settings(allowed_hosts="faas.internal, other"))
    assert refused(guard, {b"host": b"faas.internal:8080"}) == 0
    assert refused(guard, {b"host": b"other"}) == 0
    assert refused(guard, {b"host": b"third"}) == 403
    assert refused(Guard(Settings(allowed_hosts="*")), {b"host": b"third"}) == 0


def test_public_node_answers_to_any_name_until_told_otherwise() -> None:
    assert refused(Guard(Settings(host="0.0.0.0")), {b"host": b"anything.example"}) == 0
    assert refused(Guard(Settings(host="0.0.0.0", allowed_hosts="a.example")), {b"host": b"b.example"}) == 403


def test_more_good_hosts_than_are_remembered_still_pass() -> None:
    guard = Guard(Settings(allowed_hosts="*"))
    assert all(refused(guard, {b"host": b"h%d" % number}) == 0 for number in range(200))


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (b"http://127.0.0.1:8080", 0),
        (b"http://127.0.0.1:3000", 403),
        (b"https://evil.example", 403),
        (b"null", 403),
        (b"", 403),
    ],
)
def test_pages_of_other_sites_are_refused(origin: bytes, status: int) -> None:
    assert refused(Guard(Settings()), {**HOST, b"origin": origin}) == status


def test_origin_without_host_is_refused() -> None:
    assert refused(Guard(Settings()), {b"origin": b"http://127.0.0.1:8080"}) == 403


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (b"Bearer secret", 0),
        (b"bearer  secret ", 0),
        (b"Bearer wrong", 401),
        (b"Bearer", 401),
        (b"Basic secret", 401),
        (b"", 401),
    ],
)
def test_token(authorization: bytes, status: int) -> None:
    guard = Guard(Settings(api_token="secret"))
    assert refused(guard, {**HOST, b"authorization": authorization}) == status


def test_missing_token_is_told_how_to_be_sent() -> None:
    with pytest.raises(Problem) as caught:
        Guard(Settings(api_token="secret")).check(dict(HOST))
    assert caught.value.headers == [(b"www-authenticate", b'Bearer realm="actorfaas"')]
    assert "secret" not in caught.value.detail


def test_open_endpoints_need_no_token() -> None:
    Guard(Settings(api_token="secret")).check_origin(dict(HOST))


@pytest.mark.parametrize(
    ("host", "name"),
    [(b"a:80", "a"), (b"A.B.", "a.b"), (b"[::1]:80", "::1"), (b"[fe80::1]", "fe80::1"), (b"", ""), (b"a:b", "a:b")],
)
def test_host_name(host: bytes, name: str) -> None:
    assert host_name(host) == name


def test_is_loopback() -> None:
    assert is_loopback("127.0.0.5")
    assert is_loopback("::1")
    assert is_loopback("localhost")
    assert not is_loopback("0.0.0.0")
    assert not is_loopback("example.org")
