"""A key sees its own tenant and does what its scopes allow, in every endpoint."""
from harness import Api, World, case, check, equal, main, people, to_ndjson, wait_until


@case
def tenants_do_not_see_each_other():
    with World() as world:
        ours, theirs = world.api("acme"), world.api("globex")
        campaign = world.campaign(api=ours)
        campaign.start()
        batch = campaign.submit(people(10))
        campaign.close()
        campaign.wait_complete()
        paths = [("GET", campaign.path), ("GET", campaign.path + "/recipients"),
                 ("GET", f"/v1/batches/{batch['batch']}"), ("POST", campaign.path + "/start"),
                 ("POST", campaign.path + "/close"), ("POST", campaign.path + "/pause"),
                 ("POST", campaign.path + "/resume"), ("POST", campaign.path + "/cancel")]
        for method, path in paths:
            status, _, answer = theirs.raw(method, path, "" if method == "POST" else None)
            equal(status, 404, f"{method} {path} with another tenant's key: {answer}")
        status, _, answer = theirs.raw("POST", campaign.path + "/recipients",
                                       to_ndjson(people(1)), {"Content-Type": "application/x-ndjson"})
        equal(status, 404, f"submitting into another tenant's campaign: {answer}")
        equal(theirs.call("GET", "/v1/campaigns")["campaigns"], [], "another tenant's campaigns")
        equal(theirs.events(), [], "another tenant's events")
        equal(theirs.call("GET", "/v1/recipients/user1@d1.example")["recipients"], [],
              "another tenant's recipients")
        check(len(ours.events()) >= 10, "our own events")
        equal(len(ours.call("GET", "/v1/campaigns")["campaigns"]), 1, "our own campaigns")


@case
def nothing_without_a_key():
    with World() as world:
        world.campaign()
        for key in (None, "", "nonsense", world.key()[:-1] + "x"):
            api = Api(world.host, world.port, key)
            for method, path in (("GET", "/v1/campaigns"), ("POST", "/v1/campaigns"),
                                 ("GET", "/v1/events"), ("POST", "/v1/messages")):
                status, headers, answer = api.raw(method, path, "{}" if method == "POST" else None)
                equal(status, 401, f"{method} {path} with the key {key!r}: {answer}")
                check("problem+json" in headers.get("Content-Type", ""), f"no problem: {headers}")


@case
def scopes_are_kept_apart():
    with World() as world:
        reader = world.api(scope="read")
        writer = world.api(scope="submit")
        status, _, answer = reader.raw("POST", "/v1/campaigns", "{}",
                                       {"Content-Type": "application/json"})
        equal(status, 403, f"creating with a reader's key: {answer}")
        world.campaign(api=writer)
        status, _, answer = writer.raw("GET", "/v1/events")
        equal(status, 403, f"reading events with a submitter's key: {answer}")
        equal(len(reader.call("GET", "/v1/campaigns")["campaigns"]), 1, "what a reader sees")


@case
def a_revoked_key_is_dead():
    with World() as world:
        api = world.api()
        api.call("GET", "/v1/campaigns")
        listed = world.daemon.command("key", "list", "--socket", world.daemon.socket)
        keys = listed["keys"] if isinstance(listed, dict) else listed
        equal(len(keys), 1, "keys")
        check(world.key() not in str(keys), "the list tells the key itself")
        world.daemon.command("key", "revoke", str(keys[0]["id"]), "--socket", world.daemon.socket)
        wait_until(lambda: api.raw("GET", "/v1/campaigns")[0] == 401, "the key to be refused")
        world.restart("kill")
        equal(api.raw("GET", "/v1/campaigns")[0], 401, "the status after a restart")


main()
