// Judge: what a result of the conversation means for the recipient.
//
// The protocol says what the peer said; here it becomes an outcome, by the site's settings and by
// what RFC 5321 says about replies that mean something else than their first digit.
#pragma once

#include <cstdint>

#include "mail/outcome.h"
#include "smtp/client.h"
#include "traffic/settings.h"

namespace postring::delivery {

enum class Action : uint8_t {
  settle,       // the outcome stands
  retry_plain,  // one attempt more, plainly, before the reply is believed
  again,        // it was never judged: back to the front of the queue
};

struct Judgement {
  Action action = Action::settle;
  Outcome outcome = Outcome::deferred;
  bool possible_duplicate = false;
};

// `plain`: it was sent plainly already.
Judgement judge(const smtp::RecipientResult& result, const Reply& reply, bool plain,
                traffic::LostFinalReply on_lost_final_reply);

}  // namespace postring::delivery
