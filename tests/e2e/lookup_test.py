"""A recipient is known from the moment it is accepted on, at every moment of its life."""
from harness import World, case, equal, main


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


main()
