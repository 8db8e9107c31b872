# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How Blender and the worker talk: JSON-RPC 2.0, one message a line, in UTF-8.

Standard library only; the extension and the worker import this same module. What the messages hold
is in `messages`.
"""

from dataclasses import dataclass
from typing import Any

from .bounded_json import dump_json, parse_json

PROTOCOL = 2
HEARTBEAT = 2.0
MAX_LINE = 4 * 1024 * 1024

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
# A domain error; `data` is a `messages.ErrorData`.
FAILED = -32000


class ProtocolError(Exception):
    """A line that is no message.

    Attributes:
        code: the JSON-RPC error code to answer with.
        id: the request's id, as far as one could be read.
    """

    def __init__(self, code: int, message: str, id: int | str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.id = id


@dataclass(frozen=True)
class Request:
    """A call that expects an answer."""

    id: int | str
    method: str
    params: dict[str, object]


@dataclass(frozen=True)
class Notification:
    """What expects no answer."""

    method: str
    params: dict[str, object]


@dataclass(frozen=True)
class Result:
    """The answer to the request of the same id."""

    id: int | str
    value: Any


@dataclass(frozen=True)
class Failure:
    """The error that answers the request of the same id; None when the id was not readable."""

    id: int | str | None
    code: int
    message: str
    data: dict[str, object]


Message = Request | Notification | Result | Failure


def encode(message: Message) -> bytes:
    """One message as one line, its newline included; numbers that are not finite become null.

    Raises:
        TypeError: if the message holds something JSON has no word for.
    """
    body: dict[str, object] = {"jsonrpc": "2.0"}
    match message:
        case Request(id, method, params):
            body |= {"id": id, "method": method, "params": params}
        case Notification(method, params):
            body |= {"method": method, "params": params}
        case Result(id, value):
            body |= {"id": id, "result": value}
        case Failure(id, code, text, data):
            body |= {"id": id, "error": {"code": code, "message": text, "data": data}}
    return dump_json(body) + b"\n"


def decode(line: bytes) -> Message:
    """The message on one line.

    Raises:
        ProtocolError: if the line is too long, is not JSON or is no JSON-RPC 2.0 message.
    """
    if len(line) > MAX_LINE:
        raise ProtocolError(INVALID_REQUEST, f"the line is longer than {MAX_LINE} bytes")
    try:
        body = parse_json(line)
    except ValueError as error:
        raise ProtocolError(PARSE_ERROR, f"the line is not JSON ({error})") from None
    if not isinstance(body, dict) or body.get("jsonrpc") != "2.0":
        raise ProtocolError(INVALID_REQUEST, "the line is no JSON-RPC 2.0 message")
    id = body.get("id")
    # JSON's true is an int to Python.
    if isinstance(id, bool) or not isinstance(id, int | str | None):
        raise ProtocolError(INVALID_REQUEST, "the id is neither a number nor text")
    if "method" in body:
        method, params = body["method"], body.get("params", {})
        if not isinstance(method, str) or not isinstance(params, dict):
            raise ProtocolError(INVALID_REQUEST, "method must be text, params an object", id)
        return Notification(method, params) if id is None else Request(id, method, params)
    if isinstance(fault := body.get("error"), dict):
        code, data = fault.get("code"), fault.get("data")
        return Failure(
            id,
            code if isinstance(code, int) else FAILED,
            str(fault.get("message", "")),
            data if isinstance(data, dict) else {},
        )
    if "result" in body and id is not None:
        return Result(id, body["result"])
    raise ProtocolError(INVALID_REQUEST, "the message is neither a call nor an answer", id)
