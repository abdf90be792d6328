"""A scripted mail server on loopback: takes letters, or fails as it is told to."""

from __future__ import annotations

import socket
import threading
from email import message_from_bytes
from email.message import Message


class Postbox:
    """Speaks as much SMTP as a client needs. `script` are the endings of the next sessions, `ok` where it is empty:
    `busy` (451 to RCPT), `refuse` (550 to RCPT), `slam` (closes before DATA), `mute` (takes the letter and closes
    without an answer), `auth` (wants a password and refuses it)."""

    def __init__(self, *script: str) -> None:
        self.script = list(script)
        self.letters: list[Message] = []
        self.recipients: list[str] = []
        self.sessions = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self._listening.getsockname()[1]}"

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)  # a thread that waits in `accept` would keep it open
        self._listening.close()
        self._thread.join(10)

    def __enter__(self) -> Postbox:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.sessions += 1
            with connection, connection.makefile("rwb") as stream:
                self._talk(stream, self.script.pop(0) if self.script else "ok")

    def _talk(self, stream, ending: str) -> None:  # type: ignore[no-untyped-def]
        def say(line: str) -> None:
            stream.write(line.encode() + b"\r\n")
            stream.flush()

        say("220 postbox")
        while line := stream.readline():
            verb = line[:4].upper().strip()
            if verb == b"EHLO":
                say("250-postbox")
                say("250 AUTH PLAIN" if ending == "auth" else "250 8BITMIME")
            elif verb == b"AUTH":
                say("535 who are you")
            elif verb == b"RCPT":
                self.recipients.append(line.decode().strip())
                say({"busy": "451 later", "refuse": "550 nobody here"}.get(ending, "250 ok"))
            elif verb == b"DATA":
                if ending == "slam":
                    return
                say("354 go on")
                body = b"".join(iter(stream.readline, b".\r\n"))
                self.letters.append(message_from_bytes(body))
                if ending == "mute":
                    return
                say("250 taken")
            elif verb == b"QUIT":
                say("221 bye")
                return
            else:
                say("250 ok")
