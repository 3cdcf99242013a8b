"""A careful client that submits batch after batch, for tests that end the daemon under load."""
import http.client
import threading

from harness import Failed, addresses_of, people

AHEAD = 3_000  # recipients that may wait before it holds back


class Submitter(threading.Thread):
    """Submits batch after batch, insists on each, and never lets the queue grow long."""

    def __init__(self, campaign, size, domains):
        super().__init__(daemon=True)
        self.campaign, self.size, self.domains = campaign, size, domains
        self.acknowledged = []
        self.stopping = threading.Event()
        self.wrong = None

    def run(self):
        number = 0
        while not self.stopping.is_set():
            batch = people(self.size, domains=self.domains, prefix=f"c{number}-")
            try:
                answer = self.campaign.submit(batch, key=f"batch-{number}", insist=True)
            except Exception as error:  # told by the main thread
                self.wrong = repr(error)
                return
            if answer["accepted"] != self.size:
                self.wrong = f"batch {number} was answered {answer}"
                return
            self.acknowledged += addresses_of(batch)
            number += 1
            while number % 5 == 0 and self.far_ahead() and not self.stopping.wait(0.05):
                pass

    def far_ahead(self):
        try:
            return self.campaign.show()["counts"]["waiting"] > AHEAD
        except (OSError, http.client.HTTPException, Failed):
            return True  # it is between two lives
