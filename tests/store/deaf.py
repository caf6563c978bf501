"""A way to a server on which answers are lost."""

from __future__ import annotations

import contextlib
import socket
import threading


class Deaf(contextlib.AbstractContextManager["Deaf"]):
    """Hands on what is said to the server at a port, and what it answers, except when told otherwise."""

    def __init__(self, to_port: int | None) -> None:
        self._to = ("127.0.0.1", int(to_port or 0))
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        #: A server that commits, and whose answer never comes: the connection ends instead.
        self.loses_answers_to_commits = False
        self._clients: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for client in self._clients:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                self._clients.append(client)
                thread = threading.Thread(target=self._hand_on, args=(client,))
                self._threads.append(thread)
                thread.start()

    def _hand_on(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._to) as server:
            answers = threading.Thread(target=self._answer, args=(server, client))
            answers.start()
            with contextlib.suppress(OSError):
                while said := client.recv(65_536):
                    server.sendall(said)
                server.shutdown(socket.SHUT_RDWR)
            answers.join()

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while answer := server.recv(65_536):
                # What a server says once it has committed.
                if self.loses_answers_to_commits and b"COMMIT\0" in answer:
                    break
                client.sendall(answer)
            client.shutdown(socket.SHUT_RDWR)
