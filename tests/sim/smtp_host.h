// SmtpHost: a mail host of the world, with a grammar of its own that shares nothing with src/smtp/.
//
// It says what it was told to say (Options: smtp.*), writes down what it takes, and holds its
// client to the protocol: commands in their order and form, lines of a permitted length, no bare CR
// or LF, no command ahead of a reply where PIPELINING was not offered, a content that is whole.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "sim/ledger.h"
#include "sim/net.h"

namespace postring::sim {

class SmtpHost {
 public:
  SmtpHost(Schedule& schedule, Faults& faults, Ledger& ledger, std::string name,
           uint64_t seed);

  // A session for a connection, or nothing: refused.
  std::shared_ptr<Actor> accept();

  size_t connections() const { return connections_; }
  size_t connections_peak() const { return connections_peak_; }
  // How many MAILs may be under way long after the client had decided to send them.
  int64_t late_mails_max() const { return static_cast<int64_t>(connections_peak_); }
  // When MAIL commands were handed over by the client, answered or not.
  const std::vector<Instant>& mails() const { return mails_; }

 private:
  friend class SmtpSession;

  // Decided once for each, so that it is the same at every attempt.
  bool of_people(std::string_view address, std::string_view what, int64_t chance) const;

  Schedule& schedule_;
  Faults& faults_;
  Ledger& ledger_;
  std::string name_;
  Random random_;
  uint64_t salt_;
  bool pipelining_ = true;
  bool chunking_ = true;
  bool ehlo_ = true;
  bool knows_bdat_ = true;     // where it offers it
  bool takes_ahead_ = true;    // where it offers it
  bool takes_within_ = true;   // where not: all but what rides with a final dot
  bool always_354_ = false;    // also where no recipient was taken
  uint64_t accepted_ = 0;
  size_t connections_ = 0;
  size_t connections_peak_ = 0;
  std::vector<Instant> mails_;
  std::set<std::string> greylisted_;
};

}  // namespace postring::sim
