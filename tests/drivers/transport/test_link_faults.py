"""Faults at random instants, on every wire: never a silent wrong value, always a recovered exchange or a named error.

LABRHEL_FAULTS sets how many of each kind (50; make targets runs 1000).
"""

import os
import random

import pytest

from drivers.testing.wires import KINDS, LINK_TIMEOUT, SERVERS, Device, block, read_token, token
from drivers.transport import LinkError, open_link
from labrhel.errors import TransportError

COUNT = int(os.environ.get("LABRHEL_FAULTS", "50"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wire", SERVERS)
def test_no_fault_gives_a_wrong_value(wire: str, kind: str) -> None:
    device = Device(seed=hash_of(wire, kind))
    server = SERVERS[wire](device)
    rng = random.Random(hash_of(kind, wire))
    number = named = good = 0
    try:
        with open_link(server.address, timeout=LINK_TIMEOUT, patience=20.0) as link:
            while device.faults < COUNT:
                if rng.random() < 0.5:
                    device.arm(kind, after=rng.randrange(3))
                number += 1
                try:
                    if rng.random() < 0.25:
                        size = rng.randrange(1, 3000)
                        length = rng.choice((None, size))
                        data = link.query_block(f"BLOCK? {number} {size}", length=length)
                        assert data == block(number, size)
                    else:
                        assert link.query_as(f"ECHO? {token(number)}", read_token) == token(number)
                    good += 1
                except LinkError as error:
                    assert not error.may_have_acted
                    named += 1
            assert link.query_as("ECHO? " + token(0), read_token) == token(0)
    finally:
        server.close()
    print(f"{wire} {kind}: {device.faults} faults, {good} good answers, {named} named errors")
    assert good > 0.9 * number


@pytest.mark.parametrize("kind", ["late", "terminator", "silent", "restart", "reset"])
@pytest.mark.parametrize("wire", SERVERS)
def test_a_message_that_may_have_acted_is_never_sent_twice(wire: str, kind: str) -> None:
    device = Device(seed=hash_of(wire, kind))
    server = SERVERS[wire](device)
    failed = 0
    try:
        with open_link(server.address, timeout=LINK_TIMEOUT, patience=20.0) as link:
            for number in range(10):
                text = f"ECHO? {token(number)}"
                link.query("*IDN?")  # in step again
                device.arm(kind)
                try:
                    assert link.query(text, repeat=False) == token(number)
                except TransportError as error:
                    assert isinstance(error, LinkError)
                    assert error.may_have_acted
                    assert "may have acted" in str(error)
                    failed += 1
                assert device.received.count(text) == 1
    finally:
        server.close()
    assert failed >= (1 if kind == "late" else 9)  # to a program that waits for its turn, late may be in time


def hash_of(*words: str) -> int:
    return sum(ord(letter) * (at + 1) for at, letter in enumerate("".join(words)))
