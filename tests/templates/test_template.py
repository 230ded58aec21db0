"""What both kinds of templates do about processes and descriptors that are hard to come by."""

from __future__ import annotations

import errno
import os
import socket

import pytest

from actorfaas import wire
from actorfaas.errors import PeerUnavailable
from actorfaas.messages import ChildExited, FunctionSpec
from actorfaas.templates.exits import Exit, OomWatch
from actorfaas.templates.function import FunctionTemplate
from actorfaas.templates.template import Template

SPEC = FunctionSpec("f", "app", "sync", "auto", 1.0, 64, 1, 1, 0, 1.0, 0, 0.0, "", {}, "")


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


async def test_a_child_that_cannot_be_held_is_still_told_to_have_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_descriptors(pid: int) -> int:
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr(os, "pidfd_open", no_descriptors)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    template = Template("a template", OomWatch())
    template._open(ours)
    exits: list[Exit] = []
    assert template._adopt_child(4711, exits.append) is None
    theirs.send(b"".join(wire.encode(ChildExited(4711, 3, 0, 0))))
    theirs.close()
    assert template._channel is not None
    template._channel.drain_and_close()
    assert [(one.pid, one.exit_code) for one in exits] == [(4711, 3)]


async def test_descriptors_for_a_template_that_is_not_running_are_closed() -> None:
    template = FunctionTemplate("f@1", SPEC, OomWatch(), lambda *_: None, lambda: None)
    fds = tuple(os.open(os.devnull, os.O_RDONLY) for _ in range(3))
    with pytest.raises(PeerUnavailable):
        template.fork_worker(1, (fds[0], fds[1], fds[2]))
    assert not any(map(is_open, fds))
