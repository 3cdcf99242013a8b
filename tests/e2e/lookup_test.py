"""A recipient is known from the moment it is accepted on, at every moment of its life."""
from harness import World, addresses_of, case, check, equal, main, people


@case
def nobody_is_unknown_in_between():
    with World(workers=2) as world:
        api = world.api()
        for number in range(30):
            address = f"one{number}@d{number % 10}.example"
            api.call("POST", "/v1/messages", {
                "to": address, "content": {"subject": "s", "from": "a@sender.example", "text": "t"}})
            states = []
            while not states or states[-1] != "delivered":
                found = api.call("GET", "/v1/recipients/" + address)["recipients"]
                equal(len(found), 1, f"what is known of {address} after {states}")
                states.append(found[0]["state"])


@case
def a_list_has_everybody_also_who_ends_while_it_is_read():
    with World(workers=2) as world:
        everybody = people(3_000)
        campaign = world.campaign()
        campaign.submit(everybody)
        campaign.start()
        seen, after, counts = {}, "", []
        while after is not None:
            page = campaign.api.call("GET", campaign.path + "/recipients",
                                     query={"limit": 100, "after": after})
            for recipient in page["recipients"]:
                seen[recipient["address"]] = recipient
            counts.append(len(page["recipients"]))
            after = page.get("next")
        equal(set(seen), set(addresses_of(everybody)), f"who was listed in pages of {counts}")
        check(all(recipient["class"] == "bulk" for recipient in seen.values()), "a class is wrong")


main()
