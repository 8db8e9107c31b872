# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages survive the wire; what is no message is refused with the right code."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portraitgen import protocol
from portraitgen.protocol import (
    Failure,
    Message,
    Notification,
    ProtocolError,
    Request,
    Result,
    decode,
    encode,
)

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**62), 2**62)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
params = st.dictionaries(st.text(), values, max_size=4)
ids = st.integers(-(2**62), 2**62) | st.text()
messages = (
    st.builds(Request, ids, st.text(), params)
    | st.builds(Notification, st.text(), params)
    | st.builds(Result, ids, values)
    | st.builds(Failure, st.none() | ids, st.integers(-(2**62), 2**62), st.text(), params)
)


@given(messages)
def test_a_message_comes_back_as_it_was_sent(message: Message) -> None:
    line = encode(message)
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    assert decode(line) == message


@given(st.binary(max_size=200))
def test_rubbish_raises_only_protocol_errors(line: bytes) -> None:
    try:
        decode(line)
    except ProtocolError as error:
        assert error.code in (protocol.PARSE_ERROR, protocol.INVALID_REQUEST)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"{", protocol.PARSE_ERROR),
        (b"\xff", protocol.PARSE_ERROR),
        (b"[" * 100_000, protocol.PARSE_ERROR),
        (b"[]", protocol.INVALID_REQUEST),
        (b'{"jsonrpc": "1.0", "method": "x"}', protocol.INVALID_REQUEST),
        (b'{"jsonrpc": "2.0", "id": true, "method": "x"}', protocol.INVALID_REQUEST),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "x", "params": []}', protocol.INVALID_REQUEST),
        (b'{"jsonrpc": "2.0", "id": 1}', protocol.INVALID_REQUEST),
        (b" " * (protocol.MAX_LINE + 1), protocol.INVALID_REQUEST),
    ],
)
def test_a_line_that_is_no_message_names_its_fault(line: bytes, code: int) -> None:
    with pytest.raises(ProtocolError) as caught:
        decode(line)
    assert caught.value.code == code


def test_nan_never_reaches_the_wire() -> None:
    line = encode(Notification("job.progress", {"psnr": float("nan"), "steps": [float("inf")]}))
    assert decode(line) == Notification("job.progress", {"psnr": None, "steps": [None]})


def test_a_name_that_is_no_unicode_passes_the_wire() -> None:
    name = b"M\xfcller.mov".decode("utf-8", "surrogateescape")
    assert decode(encode(Request(1, "shot.info", {"shot": name}))).params["shot"] == name


@pytest.mark.parametrize("value", ["1" * 5000, "1" + "0" * 400, "1e999", "NaN", '"\\ud800"'])
def test_numbers_and_texts_out_of_bounds_are_no_message(value: str) -> None:
    line = '{"jsonrpc": "2.0", "id": 1, "method": "x", "params": {"a": ' + value + "}}"
    with pytest.raises(ProtocolError) as caught:
        decode(line.encode())
    assert caught.value.code == protocol.PARSE_ERROR
