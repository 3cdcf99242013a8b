"""A request repeated under one Idempotency-Key happens once, whoever repeats it, whenever."""
import concurrent.futures
import http.client

from harness import (ApiError, World, addresses_of, case, check, equal, main, people, to_ndjson)


def post(campaign, key, body):
    """(status, answer) of one try; lost connections count as status 0."""
    try:
        status, _, answer = campaign.api.raw(
            "POST", campaign.path + "/recipients", body,
            {"Content-Type": "application/x-ndjson", "Idempotency-Key": key})
        return status, answer
    except (OSError, http.client.HTTPException) as error:
        return 0, repr(error)


@case
def racing_retries_make_one_batch():
    with World(workers=2) as world:
        campaign = world.campaign()
        campaign.start()
        bodies = {f"key-{i}": to_ndjson(people(300, prefix=f"b{i}-")) for i in range(6)}
        answers = {key: [] for key in bodies}
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            tries = [(key, pool.submit(post, campaign, key, body))
                     for _ in range(6) for key, body in bodies.items()]
            for key, future in tries:
                answers[key].append(future.result())
        for key, got in answers.items():
            statuses = {status for status, _ in got}
            check(statuses <= {200, 201, 409, 503}, f"{key} was answered {got}")
            campaign.api.insist("POST", campaign.path + "/recipients", bodies[key],
                                {"Content-Type": "application/x-ndjson", "Idempotency-Key": key})
            good = [answer for status, answer in got if status in (200, 201)]
            check(good, f"nobody succeeded with {key}: {got}")
            check(all(answer == good[0] for answer in good), f"answers differ for {key}: {good}")
            equal(good[0]["accepted"], 300, f"accepted under {key}")
        campaign.close()
        state = campaign.wait_complete()
        equal(state["counts"]["delivered"], 1800, "delivered")
        everybody = sum((addresses_of(people(300, prefix=f"b{i}-")) for i in range(6)), [])
        world.check_ledger(everybody)


@case
def a_repeat_gets_the_old_answer_also_after_a_restart():
    with World() as world:
        created = [world.campaign(key="the-campaign").id for _ in range(3)]
        equal(len(set(created)), 1, "campaigns made under one key")
        campaign = world.campaign(key="the-campaign")
        body = to_ndjson(people(50) + people(10))
        status, first = post(campaign, "k", body)
        equal((status // 100, first["accepted"], first["duplicate"]), (2, 50, 10), "the answer")
        equal(post(campaign, "k", body)[1], first, "the answer to a repeat")
        status, answer = post(campaign, "k", to_ndjson(people(1, prefix="other")))
        equal(status, 422, f"another body under the same key: {answer}")
        for how in ("kill", "stop"):
            world.restart(how)
            equal(post(campaign, "k", body)[1], first, f"the answer after {how}")
            equal(world.campaign(key="the-campaign").id, campaign.id, f"the campaign after {how}")
        again = campaign.submit(people(60))
        equal((again["accepted"], again["duplicate"]), (10, 50), "duplicates across restarts")


@case
def half_a_body_leaves_nothing():
    with World() as world:
        campaign = world.campaign()
        body = to_ndjson(people(2000))
        connection = http.client.HTTPConnection(world.host, world.port, timeout=60)
        connection.putrequest("POST", campaign.path + "/recipients")
        connection.putheader("Authorization", f"Bearer {campaign.api.key}")
        connection.putheader("Content-Type", "application/x-ndjson")
        connection.putheader("Content-Length", str(len(body)))
        connection.putheader("Idempotency-Key", "half")
        connection.endheaders()
        connection.send(body[:len(body) // 2])
        connection.close()
        answer = campaign.submit(people(2000), key="half", insist=True)
        equal((answer["accepted"], answer["duplicate"]), (2000, 0), "the answer to the retry")
        equal(campaign.counts()["accepted"], 2000, "accepted")
        print(f"accepted of the half: 0, of the repeat: {answer['accepted']}")


@case
def keys_belong_to_tenants():
    with World() as world:
        ours = world.campaign(key="same-key")
        theirs = world.campaign(api=world.api("globex"), key="same-key")
        check(ours.id != theirs.id, "two tenants got one campaign")
        try:
            world.campaign(key="same-key", content={"from": "x@sender.example", "subject": "s",
                                                    "text": "t", "unsubscribe": "none"})
        except ApiError as error:
            equal(error.status, 422, "another campaign under the same key")
        else:
            check(False, "another campaign was made under the same key")


main()
