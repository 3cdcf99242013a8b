// Send: a campaign file and a list of recipients, submitted over the API.
//
// Every request that creates something carries an Idempotency-Key that follows from what is sent:
// the campaign, the list and the place in it. So it may be repeated as often as needed: over a lost
// connection, a restart of the server, and by running the whole command again, which finds what is
// there and sends nobody a second message. To send the same campaign to the same list once more,
// another `run` is named.
#pragma once

#include <cstdint>
#include <string>

#include "base/units.h"
#include "cli/server.h"

namespace postring::cli {

struct SendOptions {
  ServerOptions server;
  std::string campaign_file;
  std::string recipients_file;
  uint64_t batch_recipients = 20'000;
  uint64_t batch_bytes = 16u << 20;
  std::string run;
  bool no_start = false;
  bool no_close = false;
  bool wait = false;
  bool quiet = false;
  // Without a success for this long, it gives up.
  Duration patience = Duration::minutes(5);
};

// The exit status.
int send(const SendOptions& options);

}  // namespace postring::cli
