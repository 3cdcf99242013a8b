// The messages of a lane: pulled, handed to connections, settled.
#include <algorithm>

#include "base/canary.h"
#include "base/mark.h"
#include "delivery/judge.h"
#include "delivery/lane.h"

namespace postring::delivery {
namespace {

bool has_expired(const queue::Lease& lease, WallTime now) {
  if (canary(Canary::deadline_forgotten)) return false;
  return lease.expires_at.is_set() && lease.expires_at <= now;
}

}  // namespace

// --------------------------------------------------------------------------------------- coming in

uint32_t Lane::in_hand_wanted() const {
  uint32_t wanted = kInHandPerConnection * (established_ + connecting_) + kInHandMore;
  if (!settings_.rate.limited()) return wanted;
  // No more than may go within the time a message may wait here.
  int64_t soon = kPermitWaitMax.us * settings_.rate.count / settings_.rate.period.us;
  return static_cast<uint32_t>(std::clamp<int64_t>(soon + settings_.burst, 1, wanted));
}

void Lane::pull_more() {
  Instant now = parts_.loop.now();
  if (Instant at = permits_.message_at(now); at - now > kPermitWaitMax) {
    give_back_ready();
    set_hold(LaneHold::rate, "the rate allows the next message later", at - kPermitWaitMax);
    return;
  }
  if (now < pull_at_) return wake_at(pull_at_);
  uint32_t wanted = in_hand_wanted();
  while (outlets_.waiting() > 0) {
    auto in_hand = static_cast<uint32_t>(ready_.size() + loading_.size()) + asked_;
    // Transactional mail comes on top, so that a full hand does not hold it up.
    bool urgent = outlets_.next_is_transactional() && in_hand < wanted + 4 * kPullMessages;
    if (!urgent && in_hand > wanted - wanted / 4 - 1) return;
    uint32_t messages = in_hand < wanted ? wanted - in_hand : kPullMessages;
    if (outlets_.waiting() > 1) messages = std::min(messages, kPullMessages);
    Outlet* outlet = outlets_.next();
    if (now >= outlet->resolved_until && !outlet->rerouting) {
      outlet->rerouting = true;
      parts_.host.reroute(*outlet);
    }
    outlet->asked = messages;
    asked_ += messages;
    parts_.host.pull(*this, *outlet, messages, kPullBytes);
  }
}

void Lane::pulled(const queue::DestinationId& destination, queue::Pulled pulled) {
  Outlet* outlet = outlets_.find(destination);
  CHECK(outlet != nullptr, "a pull came back to a lane without its outlet");
  asked_ -= outlet->asked;
  uint32_t home_worker = outlet->home_worker;
  bool transactional = std::ranges::any_of(pulled.leases, [](const queue::Lease& lease) {
    return lease.mail_class == MailClass::transactional;
  });
  outlets_.came_back(destination, pulled.more, transactional);
  if (pulled.more && pulled.leases.empty()) pull_at_ = parts_.loop.now() + kPullAgainAfter;
  for (queue::Lease& lease : pulled.leases) accept(std::move(lease), home_worker);
  parts_.host.touch(*this);
}

void Lane::accept(queue::Lease lease, uint32_t home_worker) {
  Message* message = parts_.messages.take(std::move(lease), home_worker);
  if (stopping_ || hold_ == LaneHold::suspended) return parts_.host.give_back(message);
  std::string_view own = message->lease.inline_content();
  if (!own.empty()) {
    auto content = ContentRef::own(own);
    if (!content) return content_failed(message, content.error());
    message->content = std::move(*content);
    return line_up(message);
  }
  const queue::ContentId& id = message->lease.content;
  message->content = parts_.contents.find(id);
  if (message->content) return line_up(message);
  bool first = std::ranges::none_of(loading_, [&](Message* m) { return m->lease.content == id; });
  loading_.push_back(message);
  if (first) parts_.host.fetch(*this, id);
}

// What is ready may leave: a home that can write no outcome has nothing there.
void Lane::line_up(Message* message) {
  if (stands_still(*message)) return parts_.host.give_back(message);
  ready_.push_back(message);
}

bool Lane::stands_still(const Message& message) {
  return parts_.spool_holds.stop(message.lease.id);
}

void Lane::holds_changed() {
  holds_contents = parts_.spool_holds.stop_contents();
  if (holds_contents) {
    for (Message* message : ready_.take_all()) line_up(message);
    std::vector<Message*> loading;
    loading.swap(loading_);
    for (Message* message : loading) {
      if (stands_still(*message)) {
        parts_.host.give_back(message);
      } else {
        loading_.push_back(message);
      }
    }
  }
  // What ends at once leaves the list while it is gone through.
  std::vector<Connection*> connections;
  for (auto& connection : connections_) connections.push_back(connection.get());
  for (Connection* connection : connections) connection->go_on();
  parts_.host.touch(*this);
}

void Lane::content_came(const queue::ContentId& id, const Result<ContentRef>& content) {
  // In the order they came.
  std::vector<Message*> loading;
  loading.swap(loading_);
  for (Message* message : loading) {
    if (message->lease.content != id) {
      loading_.push_back(message);
    } else if (content) {
      message->content = *content;
      line_up(message);
    } else {
      content_failed(message, content.error());
    }
  }
  parts_.host.touch(*this);
}

void Lane::content_failed(Message* message, const Error& error) {
  queue::Report report;
  report.outcome = Outcome::deferred;
  report.reply.text = "the content cannot be read: " + error.message;
  report.not_an_attempt = true;
  report.retry_after = kContentRetryAfter;
  parts_.host.settle(message, std::move(report));
}

// What is in hand may wait for a connection longer than its deadline allows.
void Lane::sweep() {
  Instant now = parts_.loop.now();
  WallTime wall_now = parts_.loop.wall_now();
  sweep_at_ = now + kSweepEvery;
  std::vector<Message*> messages = ready_.take_all();
  for (Message* message : messages) {
    if (has_expired(message->lease, wall_now)) {
      settle_expired(message);
    } else {
      line_up(message);
    }
  }
}

void Lane::give_back_ready() {
  for (Message* message : ready_.take_all()) parts_.host.give_back(message);
  std::vector<Message*> loading;
  loading.swap(loading_);
  for (Message* message : loading) parts_.host.give_back(message);
}

// --------------------------------------------------------------------------------------- going out

Message* Lane::next_message(Connection& connection) {
  if (stopping_) return nullptr;
  bool plain = connection.setup().plain;
  if (parts_.host.descriptors_wanted() &&
      connection.messages_done() >= (connections_.size() > 1 ? kYieldAfter : kYieldAfterAlone)) {
    connection.finish();
    return nullptr;
  }
  WallTime wall_now = parts_.loop.wall_now();
  Instant now = parts_.loop.now();
  for (;;) {
    Message* message = plain ? ready_.front_plain() : ready_.front();
    if (message == nullptr) break;
    const queue::Lease& lease = message->lease;
    if (has_expired(lease, wall_now)) {
      ready_.pop(message);
      settle_expired(message);
      continue;
    }
    if (!parts_.campaigns.may_send(lease.campaign)) {
      ready_.pop(message);
      parts_.host.give_back(message);
      continue;
    }
    if (!permits_.take_message(now)) {
      set_hold(LaneHold::rate, "the rate is used up", permits_.message_at(now));
      return nullptr;
    }
    ready_.pop(message);
    message->started_at = now;
    message->started_wall = wall_now;
    if (lease.attempt <= 1) parts_.counters.queue_time.add(wall_now - lease.accepted_at);
    // Few are left: more are asked for before the turn ends.
    if (ready_.size() + asked_ < in_hand_wanted()) parts_.host.touch(*this);
    return plain ? message : transaction_of(connection, message);
  }
  bool more_to_pull = outlets_.waiting() > 0 && asked_ == 0 && loading_.empty();
  if (more_to_pull || parts_.host.descriptors_wanted()) parts_.host.touch(*this);
  return nullptr;
}

// With what may go in the same transaction: recipients of one submitted message, each of which
// counts for the rate.
Message* Lane::transaction_of(const Connection& connection, Message* first) {
  const queue::Lease& lease = first->lease;
  if (!lease.shares_message || !first->content->same_for_all()) return first;
  size_t most = smtp::kRecipientsMax;
  uint32_t seen = connection.peer()->recipients_max;
  if (seen > 0) most = std::min<size_t>(most, seen);
  auto goes_with_it = [&](const Message& other) {
    return other.lease.shares_message && other.lease.batch == lease.batch &&
           other.lease.accepted_at == lease.accepted_at &&
           (!other.lease.expires_at.is_set() || other.lease.expires_at > first->started_wall) &&
           permits_.take_message(first->started_at);
  };
  first->next = ready_.take_if(first, goes_with_it, most - 1);
  for (Message* message = first->next; message != nullptr; message = message->next) {
    message->started_at = first->started_at;
    message->started_wall = first->started_wall;
    if (message->lease.attempt <= 1)
      parts_.counters.queue_time.add(first->started_wall - message->lease.accepted_at);
  }
  return first;
}

void Lane::on_result(Connection& connection, Message* message, const smtp::RecipientResult& result,
                     const Reply& reply) {
  if (connection.messages_answered() == 1) targets_.succeeded(connection.setup().target);
  Judgement judgement = judge(result, reply, message->plain, settings_.on_lost_final_reply);
  switch (judgement.action) {
    case Action::settle:
      return settle(connection, message, reply, result.stage, judgement.outcome,
                    judgement.possible_duplicate);
    case Action::retry_plain:
      mark(Mark::retried_plainly);
      if (stopping_ || stands_still(*message)) return parts_.host.give_back(message);
      message->plain = true;
      ready_.push_back(message);
      return parts_.host.touch(*this);
    case Action::again:
      if (stopping_ || stands_still(*message)) return parts_.host.give_back(message);
      if (++message->unsent <= kUnsentMax) {
        ready_.push_front(message);
        return parts_.host.touch(*this);
      }
      mark(Mark::unsent_too_often);
      queue::Report report;
      report.outcome = Outcome::deferred;
      report.stage = result.stage;
      report.reply = reply;
      report.not_an_attempt = true;
      report.retry_after = kUnsentRetryAfter;
      return parts_.host.settle(message, std::move(report));
  }
}

void Lane::settle(Connection& connection, Message* message, const Reply& reply, Stage stage,
                  Outcome outcome, bool possible_duplicate) {
  queue::Report report;
  report.outcome = outcome;
  report.stage = stage;
  report.reply = reply;
  report.source = (*sources_)[id_.source].name;
  report.remote_host = connection.setup().host;
  report.remote_address = connection.remote_address();
  report.bytes = message->size_bytes;
  report.started_at = message->started_wall;
  report.duration = parts_.loop.now() - message->started_at;
  report.possible_duplicate = possible_duplicate;
  if (outcome == Outcome::delivered) {
    ++delivered_;
    parts_.counters.delivery_time.add(report.duration);
    parts_.counters.bytes_sent += report.bytes;
  }
  if (possible_duplicate) {
    mark(Mark::possible_duplicate);
    ++parts_.counters.possible_duplicates;
  }
  parts_.host.settle(message, std::move(report));
}

void Lane::settle_expired(Message* message) {
  mark(Mark::expired_in_hand);
  queue::Report report;
  report.outcome = Outcome::expired;
  report.reply.text = "its deadline passed before it could be sent";
  parts_.host.settle(message, std::move(report));
}

}  // namespace postring::delivery
