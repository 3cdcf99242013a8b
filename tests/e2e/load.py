"""A careful client that submits batch after batch, for tests that end the daemon under load."""
import threading

from harness import addresses_of, people


class Submitter(threading.Thread):
    """Submits batch after batch and insists on each, as a careful client does."""

    def __init__(self, campaign, size, domains, most=200_000):
        super().__init__(daemon=True)
        self.campaign, self.size, self.domains, self.most = campaign, size, domains, most
        self.acknowledged = []
        self.stopping = threading.Event()
        self.wrong = None

    def run(self):
        number = 0
        while not self.stopping.is_set():
            batch = people(self.size, domains=self.domains, prefix=f"c{number}-")
            try:
                answer = self.campaign.submit(batch, key=f"batch-{number}", insist=True)
                if answer["accepted"] != self.size:
                    self.wrong = f"batch {number} was answered {answer}"
                    return
            except Exception as error:  # told by the main thread
                self.wrong = repr(error)
                return
            self.acknowledged += addresses_of(batch)
            number += 1
            if self.size * number >= self.most:
                return
