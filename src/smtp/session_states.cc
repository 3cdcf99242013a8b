#include "smtp/session_states.h"

namespace postring::smtp {
namespace {

constexpr StateInfo kStateTable[kStates] = {
    {"greeting", "waiting for the greeting", Stage::greeting, Duration::minutes(5)},
    {"ehlo", "waiting for the reply to EHLO", Stage::ehlo, Duration::minutes(5)},
    {"helo", "waiting for the reply to HELO", Stage::ehlo, Duration::minutes(5)},
    {"idle", "between two messages", Stage::ehlo, Duration::seconds(60)},
    {"rset", "waiting for the reply to RSET", Stage::mail, Duration::minutes(5)},
    {"mail", "waiting for the reply to MAIL FROM", Stage::mail, Duration::minutes(5)},
    {"rcpt", "waiting for the reply to RCPT TO", Stage::rcpt, Duration::minutes(5)},
    {"data", "waiting for the reply to DATA", Stage::data, Duration::minutes(2)},
    {"body", "sending the content", Stage::body, Duration::minutes(3)},
    {"final", "waiting for the reply to the content", Stage::body, Duration::minutes(10)},
    {"quit", "waiting for the reply to QUIT", Stage::done, Duration::seconds(10)},
    {"closed", "closed", Stage::done, Duration{}},
};

}  // namespace

const StateInfo& info_of(State state) {
  return kStateTable[static_cast<uint8_t>(state)];
}

Timeouts::Timeouts() {
  for (size_t i = 0; i < kStates; ++i) of_state[i] = kStateTable[i].timeout;
}

}  // namespace postring::smtp
