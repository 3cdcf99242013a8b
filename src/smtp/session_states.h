// The states of a client session: what is waited for, for how long, and how a person reads it.
//
// State is what the oldest unanswered command asks for. The laws: a session's phase never goes
// back, and neither does a transaction's; both are checked.
//
//   state      waits for                               timeout (RFC 5321 4.5.3.2)
//   greeting   220                                     5 min
//   ehlo       250 to EHLO                             5 min
//   helo       250 to HELO, after EHLO was refused     5 min
//   idle       nothing: the next message               60 s (ours)
//   rset       250 to RSET                             5 min
//   mail       250 to MAIL FROM                        5 min
//   rcpt       250 to RCPT TO                          5 min
//   data       354 to DATA                             2 min
//   body       the peer to take the content            3 min per progress
//   final      250 to the final dot or BDAT ... LAST   10 min
//   quit       221 to QUIT                             10 s (ours)
//   closed     nothing: close the socket               -
#pragma once

#include <cstdint>

#include "base/units.h"
#include "mail/outcome.h"

namespace postring::smtp {

enum class State : uint8_t {
  greeting,
  ehlo,
  helo,
  idle,
  rset,
  mail,
  rcpt,
  data,
  body,
  final,
  quit,
  closed
};
constexpr size_t kStates = 12;

struct StateInfo {
  const char* name;     // "rcpt"
  const char* waiting;  // "waiting for the reply to RCPT TO"
  Stage stage;
  Duration timeout;
};

const StateInfo& info_of(State state);

// Timeouts of a session by state; starts as the table says.
struct Timeouts {
  Duration of_state[kStates];

  Timeouts();
  Duration operator[](State state) const { return of_state[static_cast<uint8_t>(state)]; }
  Duration& operator[](State state) { return of_state[static_cast<uint8_t>(state)]; }
};

}  // namespace postring::smtp
