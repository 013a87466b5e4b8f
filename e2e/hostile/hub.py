"""Tries to be a node: connects to the hub and says what its arguments are, base64 of one frame each, in sessions of their own."""

import base64
import json
import os
import socket
import ssl
import sys
import time

HOST, PORT, PATH = sys.argv[1], 8443, "/v1/node"
anything = ssl._create_unverified_context()  # noqa: S323, SLF001 (a hostile program)


def connect() -> ssl.SSLSocket:
    """TLS without looking at the certificate."""
    raw = socket.create_connection((HOST, PORT), timeout=10)
    return anything.wrap_socket(raw, server_hostname="hub.batchpools.internal")


def upgraded() -> ssl.SSLSocket:
    """A WebSocket, up."""
    link = connect()
    key = base64.b64encode(os.urandom(16)).decode()
    words = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}"]
    link.sendall("\r\n".join([f"GET {PATH} HTTP/1.1", f"Host: {HOST}", *words, "", ""]).encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += link.recv(1)
    if b" 101 " not in answer.split(b"\r\n")[0]:
        raise ConnectionError(answer.decode(errors="replace"))
    return link


def said(frame: bytes) -> str:
    """What comes back, base64 of all bytes until the hub hangs up."""
    link = upgraded()
    mask = os.urandom(4)
    body = bytes(byte ^ mask[n % 4] for n, byte in enumerate(frame))
    size = bytes([0x80 | len(frame)]) if len(frame) < 126 else bytes([0x80 | 126]) + len(frame).to_bytes(2, "big")
    link.sendall(b"\x82" + size + mask + body)
    return base64.b64encode(until_closed(link)).decode()


def until_closed(link: socket.socket) -> bytes:
    """Everything until the other side hangs up; TimeoutError after 10 s."""
    link.settimeout(10)
    got = b""
    try:
        while piece := link.recv(4096):
            got += piece
    except (ConnectionResetError, ssl.SSLError):
        pass
    return got


def silent(link: socket.socket) -> float:
    """Seconds until the hub hangs up on somebody who says nothing."""
    began = time.monotonic()
    until_closed(link)
    return time.monotonic() - began


answers = [said(base64.b64decode(one)) for one in sys.argv[2:]]
print(
    json.dumps(
        {
            "answers": answers,
            "silent in TLS": silent(upgraded()),
            "silent in TCP": silent(socket.create_connection((HOST, PORT), timeout=10)),
        }
    )
)
