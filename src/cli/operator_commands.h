// The commands for operators and owners of campaigns: one request, shown as a table or as JSON.
// Each gives the exit status.
#pragma once

#include <cstdint>
#include <string>

#include "base/units.h"
#include "cli/server.h"

namespace postring::cli {

int show_status(const ServerOptions& options);
int reload(const ServerOptions& options);
int stop(const ServerOptions& options);
int show_lanes(const ServerOptions& options);

int create_key(const ServerOptions& options, const std::string& scopes);
int list_keys(const ServerOptions& options);
int revoke_key(const ServerOptions& options, const std::string& id);

int retry_domain(const ServerOptions& options, const std::string& domain);
int flush_dns(const ServerOptions& options, const std::string& name);
int decode_verp(const ServerOptions& options, const std::string& token);

struct TryOptions {
  std::string address, from, source, subject, text;
};
int try_address(const ServerOptions& options, const TryOptions& what);

int list_campaigns(const ServerOptions& options, const std::string& state);
int show_campaign(const ServerOptions& options, const std::string& id);
// start, close, pause, resume or cancel.
int command_campaign(const ServerOptions& options, const std::string& command,
                     const std::string& id);
// Every recipient, or those in the state, as CSV or (--json) NDJSON on standard output.
int export_campaign(const ServerOptions& options, const std::string& id, const std::string& state);

struct EventsOptions {
  bool follow = false;
  std::string after, campaign, type;
  uint64_t limit = 0;  // 0: all there are
};
int show_events(const ServerOptions& options, const EventsOptions& what);

// Of the key's tenant, or over the socket of --tenant or every one.
int erase_address(const ServerOptions& options, const std::string& address);

int explain(const ServerOptions& options, const std::string& address);

}  // namespace postring::cli
