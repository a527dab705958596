"""The raw client: when an answer begins, what is no answer, and errors."""

import asyncio

import pytest

from bench.client import Client, Refused
from gateway.wire.backend import error_response, notice_response, ready_for_query
from gateway.wire.frontend import message


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)


def client() -> Client:
    made = Client()
    made._transport = Wire()
    made.send("DELETE FROM t")
    return made


async def test_a_notice_is_no_answer_and_names_the_request() -> None:
    waiting = client()
    waiting.data_received(notice_response("held for approval: request 3f9a, reviewers dba"))
    assert await waiting.held() == "3f9a"
    assert waiting.first == 0
    waiting.data_received(message(b"C", b"DELETE 1\0")[:4])
    assert waiting.first == 0
    waiting.data_received(message(b"C", b"DELETE 1\0")[4:] + ready_for_query("I"))
    assert waiting.first > 0
    assert await waiting.answer() == "DELETE 1"


async def test_an_error_is_raised_at_ready_for_query() -> None:
    waiting = client()
    waiting.data_received(error_response("42501", "denied") + ready_for_query("I"))
    with pytest.raises(Refused, match="42501 denied"):
        await waiting.answer()


async def test_a_lost_connection_is_said() -> None:
    waiting = client()
    waiting.connection_lost(None)
    with pytest.raises(ConnectionError, match="closed"):
        await waiting.answer()


async def test_the_bytes_of_an_answer_are_counted_from_its_send() -> None:
    reading = client()
    answer = message(b"C", b"DELETE 1\0") + ready_for_query("I")
    reading.data_received(answer)
    assert reading.received == len(answer)
    reading.send("DELETE FROM t")
    assert reading.received == 0
