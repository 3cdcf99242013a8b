#include "delivery/judge.h"

#include "base/canary.h"

namespace postring::delivery {

namespace {

// 552 to RCPT meant "too many recipients" once, and clients are to take it as 452 (RFC 5321 section
// 4.5.3.1.10), unless its enhanced code says what else it means.
bool means_too_many_recipients(const smtp::RecipientResult& result, const Reply& reply) {
  if (result.stage != Stage::rcpt || reply.code != 552) return false;
  if (reply.enhanced[0] == 0) return true;
  return reply.enhanced[1] == 5 && reply.enhanced[2] == 3;
}

}  // namespace

Judgement judge(const smtp::RecipientResult& result, const Reply& reply, bool plain,
                traffic::LostFinalReply on_lost_final_reply) {
  using smtp::Verdict;
  if (result.plain_retry && !plain) return {Action::retry_plain, Outcome::deferred, false};
  switch (result.verdict) {
    case Verdict::accepted:
      return {Action::settle, Outcome::delivered, canary(Canary::duplicate_told_of_all)};
    case Verdict::deferred:
      if (canary(Canary::bounced_for_nothing)) return {Action::settle, Outcome::bounced, false};
      if (canary(Canary::deferral_told_delivered)) {
        return {Action::settle, Outcome::delivered, false};
      }
      return {Action::settle, Outcome::deferred, false};
    case Verdict::refused:
      if (means_too_many_recipients(result, reply))
        return {Action::settle, Outcome::deferred, false};
      return {Action::settle, Outcome::bounced, false};
    case Verdict::ambiguous:
      if (on_lost_final_reply == traffic::LostFinalReply::assume_delivered)
        return {Action::settle, Outcome::delivered, true};
      return {Action::settle, Outcome::deferred, !canary(Canary::duplicate_untold)};
    case Verdict::unsent:
      return {Action::again, Outcome::deferred, false};
  }
  return {};
}

}  // namespace postring::delivery
