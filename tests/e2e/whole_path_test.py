"""A campaign's whole way: in by HTTP, out by SMTP, told by events, found by address."""
import email
import email.policy
import re

from harness import (SIMPLE_INTERNET, World, addresses_of, case, check, equal, main, people,
                     wait_until)


@case
def a_campaign_arrives_once_and_is_told_once():
    with World(workers=2) as world:
        campaign = world.campaign()
        recipients = people(3000, domains=50)
        first = campaign.submit(recipients[:1000])
        equal((first["accepted"], first["duplicate"], first["rejected"]), (1000, 0, 0), "the answer")
        campaign.start()
        campaign.submit(recipients[1000:2000], form="csv")
        campaign.submit(recipients[2000:], packed=True)
        campaign.close()
        state = campaign.wait_complete()
        equal(state["counts"]["delivered"], 3000, "delivered")
        world.check_ledger(addresses_of(recipients))
        events = campaign.events()
        delivered = [e for e in events if e["type"] == "delivered"]
        equal(len(delivered), 3000, "delivered events")
        equal({(e["address"], e["ref"]) for e in delivered},
              {(r["address"], r["ref"]) for r in recipients}, "who they are about")
        equal(len({e["id"] for e in events}), len(events), "different event ids")
        equal(sum(e["type"] == "campaign.complete" for e in events), 1, "campaign.complete")
        for batch in campaign.batches:
            counts = world.api().call("GET", f"/v1/batches/{batch['batch']}")["counts"]
            equal(counts["delivered"], 1000, "delivered of a batch")


@case
def a_message_is_what_was_asked_for():
    with World() as world:
        campaign = world.campaign()
        campaign.start()
        campaign.submit([{"address": "ann@d1.example", "ref": "r-1",
                          "data": {"name": "Ann <&> Bob", "ref": "a b/c"}}])
        campaign.close()
        campaign.wait_complete()
        body = world.mxsim.body("ann@d1.example")
        message = email.message_from_string(body, policy=email.policy.default)
        equal(message["Subject"], "Hello Ann <&> Bob", "the subject")
        equal(message["From"], "Shop <news@sender.example>", "From")
        equal(message["To"], "ann@d1.example", "To")
        check(message["Date"] and message["Message-ID"], f"no Date or Message-ID: {body[:500]}")
        check("https://shop.example/u/" in message["List-Unsubscribe"], "no List-Unsubscribe")
        equal(message["List-Unsubscribe-Post"], "List-Unsubscribe=One-Click", "one click")
        text = message.get_body(("plain",)).get_content().replace("\r\n", "\n")
        check("Dear Ann <&> Bob,\n\n.a line that begins with a dot\n" in text, f"the text: {text!r}")
        html = message.get_body(("html",)).get_content()
        check("Dear Ann &lt;&amp;&gt; Bob," in html, f"the HTML: {html!r}")
        check("https://shop.example/a%20b%2Fc" in html, f"the link: {html!r}")
        sender = world.mxsim.recipient("ann@d1.example")["sender"]
        check(re.fullmatch(r"bounce\+[A-Za-z0-9=._-]+@sender\.example", sender),
              f"the return path: {sender}")
        equal(world.mxsim.recipient("ann@d1.example")["message_id"], message["Message-ID"], "the id")


@case
def a_whole_message_leaves_byte_for_byte():
    raw = ("From: a@sender.example\r\nTo: b@d1.example\r\nSubject: raw\r\n"
           "Date: Mon, 01 Jan 2024 00:00:00 +0000\r\nMessage-ID: <fixed@sender.example>\r\n\r\n"
           ".dots\r\n..\r\n.\r\n" + "x" * 900 + "\r\nend\r\n")
    with World() as world:
        campaign = world.campaign(content={"message": raw, "unsubscribe": "none"})
        campaign.start()
        campaign.submit(["b@d1.example"])
        campaign.close()
        campaign.wait_complete()
        equal(world.mxsim.body("b@d1.example"), raw, "the message")
        world.check_manners()


@case
def a_recipient_can_be_found():
    with World() as world:
        world.mxsim.set("d{0..999}.example", "rcpt_4xx", 1.0)
        campaign = world.campaign()
        campaign.start()
        campaign.submit(people(5))
        api = world.api()

        def deferred():
            found = api.call("GET", "/v1/recipients/user3@d3.example")["recipients"]
            return found and found[0]["attempts"] >= 1 and found[0]["state"] == "waiting" and found[0]

        found = wait_until(deferred, "user3 to be deferred")
        equal(found["campaign"], campaign.id, "its campaign")
        equal(found["ref"], "user-3", "its ref")
        check(found["next_attempt_at"], f"no next attempt: {found}")
        equal(found["last_attempt"]["code"], 450, f"the last reply in {found}")
        world.mxsim.set("d{0..999}.example", "rcpt_4xx", 0)
        campaign.close()
        campaign.wait_complete()
        found = wait_until(lambda: [r for r in api.call("GET", "/v1/recipients/user3@d3.example")
                                    ["recipients"] if r["state"] == "delivered"], "user3 delivered")
        equal(len(found), 1, "what is known about user3")


@case
def one_message_of_its_own():
    with World() as world:
        answer = world.api().call("POST", "/v1/messages", {
            "to": [{"address": "zoe@d3.example", "data": {"name": "Zoe"}, "ref": "m1"}],
            "content": {"subject": "Hi {{name}}", "from": "shop@sender.example", "text": "Hello\n"}})
        check(answer["recipients"], f"no recipient in {answer}")
        wait_until(lambda: world.mxsim.recipient("zoe@d3.example")["accepted"] == 1, "Zoe's mail")
        check("Subject: Hi Zoe" in world.mxsim.body("zoe@d3.example"), "her subject")


@case
def bad_lines_are_named():
    with World() as world:
        campaign = world.campaign()
        lines = (b'{"address":"good@d1.example"}\n'
                 b'{"address":"no-at-sign"}\n'
                 b'not json\n'
                 b'{"address":"good@D1.EXAMPLE"}\n'
                 b'{"address":"x@d1.example\\r\\nRCPT TO:<y@d1.example>"}\n'
                 b'{"address":"also.good@d2.example","unknown_key":1}\n')
        status, _, answer = world.api().raw("POST", campaign.path + "/recipients", lines,
                                            {"Content-Type": "application/x-ndjson"})
        equal(status // 100, 2, f"the status with {answer}")
        equal(answer["duplicate"], 1, f"duplicates in {answer}")
        rejected = {r["line"] for r in answer["rejections"]}
        check({2, 3, 5} <= rejected, f"rejected lines: {answer}")
        check(all(r["reason"] for r in answer["rejections"]), f"reasons: {answer}")


@case
def metrics_are_there():
    with World(SIMPLE_INTERNET) as world:
        campaign = world.campaign()
        campaign.start()
        campaign.submit(people(100))
        campaign.close()
        campaign.wait_complete()
        status, _, text = world.api(scope="submit,read,admin").raw("GET", "/metrics")
        equal(status, 200, "the status of /metrics")
        check("postring_" in text and "# TYPE" in text, f"metrics: {text[:500]}")
        check("d1.example" not in text and "user1" not in text, "metrics name domains or people")
        values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        for name in ("commit_seconds_count", "queue_wait_seconds_count", "delivery_seconds_count",
                     "http_requests_total", "spool_commits_total", "spool_bytes_written_total"):
            check(float(values[f"postring_{name}"]) > 0, f"{name} is 0")


main()
