"""Clients of the API that are slow, huge, rude or gone do not harm the others."""
import contextlib
import gzip
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
