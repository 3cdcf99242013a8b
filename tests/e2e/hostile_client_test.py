"""Clients of the API that are slow, huge, rude or gone do not harm the others."""
import contextlib
import gzip
import http.client
import json
import socket

from harness import World, case, check, equal, main, people, wait_until


def connect(world):
    return socket.create_connection((world.host, world.port), 60)


def answer_of(connection):
    """All that comes until the server closes."""
    data = b""
    with contextlib.suppress(OSError):
        while piece := connection.recv(65536):
            data += piece
    return data.decode(errors="replace")


@case
def slow_clients_do_not_hold_up_others():
    with World() as world:
        slow = [connect(world) for _ in range(50)]
        for number, connection in enumerate(slow):
            connection.send(b"POST /v1/campaigns HTTP/1.1\r\nHost: x\r\n"[:5 + number % 30])
        campaign = world.campaign()
        campaign.start()
        campaign.submit(people(100))
        campaign.close()
        campaign.wait_complete()
        for connection in slow:
            connection.close()


@case
def a_header_that_comes_too_slowly_is_answered_408():
    with World(http='header_timeout = "300ms"\nidle_timeout = "1h"') as world:
        half = connect(world)
        half.sendall(b"GET /v1/campaigns HTTP/1.1\r\nHost: x\r\n")
        answer = answer_of(half)
        half.close()
        check(answer.startswith("HTTP/1.1 408 "), f"half a header was answered {answer[:200]!r}")
        head, _, body = answer.partition("\r\n\r\n")
        check("application/problem+json" in head and "Connection: close" in head, head)
        equal(json.loads(body)["status"], 408, f"the problem's status in {body}")

        def dripped():
            """A whole request, then bytes of the next one now and then; all that was answered."""
            drip = connect(world)
            drip.settimeout(0.02)
            seen = b""
            # A client that was slow itself may lose the answer to a reset: it tries again.
            with contextlib.closing(drip), contextlib.suppress(ConnectionError):
                drip.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                while b" 408 " not in seen:
                    try:
                        piece = drip.recv(65536)
                    except TimeoutError:
                        if b" 200 " in seen:
                            drip.sendall(b"G")
                        continue
                    check(piece, f"closed without 408 after {seen!r}")
                    seen += piece
            return seen if b" 408 " in seen else None

        # One more byte does not begin the time anew; neither does an answer before.
        answers = wait_until(dripped, "a header that comes byte by byte to be refused")
        check(answers.startswith(b"HTTP/1.1 200 "), f"the first was answered {answers[:200]!r}")


@case
def idle_connections_are_closed_without_a_word():
    with World(http='header_timeout = "10m"\nidle_timeout = "500ms"') as world:
        silent = connect(world)
        equal(answer_of(silent), "", "what a client that said nothing was told")
        silent.close()

        def one_answer():
            # A client that is slow itself may find the connection closed before it asked.
            client = connect(world)
            with contextlib.suppress(OSError):
                client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = answer_of(client)
            client.close()
            return answer

        answer = wait_until(one_answer, "an answer")
        equal(answer.count("HTTP/1.1"), 1, f"answers in {answer!r}")
        check(answer.startswith("HTTP/1.1 200 ") and "Connection: close" not in answer, answer)

        # What waits for its answer is not idle.
        def long_wait():
            with contextlib.suppress(OSError, http.client.HTTPException):
                return world.api().raw("GET", "/v1/events?wait=2")

        equal(wait_until(long_wait, "a long wait for events")[0], 200, "the status of a long wait")
        # The limits are changed while it runs.
        world.reconfigure(http='idle_timeout = "400ms"')
        changes = world.daemon.command("reload", "--socket", world.daemon.socket)["changes"]
        changes = {change["key"]: change for change in changes}
        equal(sorted(changes), ["http.header_timeout", "http.idle_timeout"], "what changed")
        check(not any(change["needs_restart"] for change in changes.values()), changes)


@case
def oversized_requests_are_refused():
    with World() as world:
        key = world.key()
        campaign = world.campaign()
        tries = {
            "a huge header": f"GET /v1/campaigns HTTP/1.1\r\nHost: x\r\nX: {'y' * 200_000}\r\n\r\n",
            "a huge path": f"GET /{'p' * 200_000} HTTP/1.1\r\nHost: x\r\n\r\n",
            "a huge body": f"POST {campaign.path}/recipients HTTP/1.1\r\nHost: x\r\n"
                           f"Authorization: Bearer {key}\r\nContent-Type: application/x-ndjson\r\n"
                           f"Content-Length: {1 << 40}\r\n\r\n",
            "no HTTP": "EHLO me\r\n\r\n",
        }
        for name, request in tries.items():
            connection = connect(world)
            with contextlib.suppress(OSError):
                connection.sendall(request.encode())
            answer = answer_of(connection)
            connection.close()
            check(not answer or answer.split(" ")[1][0] == "4", f"{name} was answered {answer[:200]}")
        equal(campaign.counts()["accepted"], 0, "accepted")


@case
def a_packed_bomb_is_refused():
    with World() as world:
        campaign = world.campaign()
        bomb = gzip.compress(b" " * (100 << 20), 9)
        status, _, answer = world.api().raw(
            "POST", campaign.path + "/recipients", bomb,
            {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"})
        check(status in (400, 413, 422), f"the bomb was answered {status} {answer}")
        check(world.daemon.process.alive(), "the daemon did not survive")


@case
def clients_that_hang_up_leave_nothing_behind():
    with World() as world:
        campaign = world.campaign()
        for size in range(1, 40):
            connection = connect(world)
            request = (f"POST {campaign.path}/recipients HTTP/1.1\r\nHost: x\r\nAuthorization: "
                       f"Bearer {campaign.api.key}\r\nContent-Type: application/x-ndjson\r\n"
                       f"Content-Length: 100000\r\n\r\n" + '{"address":"a@d1.example"}\n' * size)
            connection.sendall(request.encode()[:size * 20 + 10])
            connection.close()
        equal(campaign.counts()["accepted"], 0, "accepted of unfinished batches")
        campaign.start()
        campaign.submit(people(10))
        campaign.close()
        wait_until(lambda: campaign.counts()["delivered"] == 10, "the real ones to arrive")


main()
