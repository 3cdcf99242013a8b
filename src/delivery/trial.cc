#include "delivery/trial.h"

#include <cstring>

#include "delivery/judge.h"
#include "mail/address.h"

namespace postring::delivery {

namespace {

// Of the message's id and boundaries; no recipient of a home has it.
constexpr RecipientId kTrialRecipient = UINT64_MAX;

}  // namespace

Trial::Trial(const DispatchParts& parts, DispatchConfig config, ScratchPool& scratches,
             MessagePool& messages, TrialRequest request, Done done)
    : parts_(parts),
      config_(std::move(config)),
      scratches_(scratches),
      messages_(messages),
      request_(std::move(request)),
      done_(std::move(done)) {}

Trial::~Trial() {
  *alive_ = false;
  if (message_ != nullptr) messages_.give_back(message_);
}

void Trial::start() {
  Reply reply;
  std::string name = request_.source;
  if (name.empty() && !config_.default_sources.empty()) name = config_.default_sources.front();
  if (!name.empty()) {
    auto number = config_.sources->find(name);
    if (!number) {
      reply.text = "the configuration has no source '" + name + "'";
      return fail_with(Stage::queue, Outcome::bounced, reply);
    }
    source_ = *number;
  }
  auto content = ContentRef::own(request_.content);
  if (!content) {
    reply.text = content.error().message;
    return fail_with(Stage::queue, Outcome::bounced, reply);
  }
  queue::Lease lease;
  lease.id = kTrialRecipient;
  lease.mail_class = MailClass::transactional;
  lease.attempt = 1;
  lease.accepted_at = request_.accepted_at;
  lease.bytes = request_.address;
  lease.address_bytes = static_cast<uint32_t>(request_.address.size());
  message_ = messages_.take(std::move(lease), 0);
  message_->content = std::move(*content);
  result_.report.source = (*config_.sources)[source_].name;
  result_.report.started_at = parts_.loop.wall_now();
  message_->started_at = parts_.loop.now();
  parts_.resolver.resolve(mail::domain_of(request_.address), parts_.loop.now(),
                          [this, alive = alive_](const dns::ResolutionPtr& resolution) {
                            if (*alive && !over_) resolved(resolution);
                          });
}

void Trial::resolved(const dns::ResolutionPtr& resolution) {
  resolution_ = resolution;
  if (resolution->kind != dns::Resolution::Kind::hosts) {
    Outcome outcome = dns::is_permanent(resolution->kind) ? Outcome::bounced : Outcome::deferred;
    return fail_with(Stage::dns, outcome, dns::reply_of(*resolution));
  }
  for (const dns::MailHost& host : resolution->hosts) {
    std::string line = "* " + std::to_string(host.preference) + " " + host.name;
    for (const IpAddress& ip : host.addresses) line += " " + ip.text();
    result_.transcript.push_back(std::move(line));
  }
  targets_ = dns::attempt_order(*resolution, (*config_.sources)[source_].address.family,
                                parts_.loop.random());
  if (targets_.size() > kTrialConnectionsMax) targets_.resize(kTrialConnectionsMax);
  if (targets_.empty()) {
    Reply reply;
    reply.text =
        "no mail host has an address that source '" + result_.report.source + "' can reach";
    return fail_with(Stage::connect, Outcome::deferred, reply);
  }
  connect_next();
}

void Trial::connect_next() {
  const dns::Target& target = targets_[next_target_++];
  const dns::MailHost& host = resolution_->hosts[target.host];
  std::vector<std::string> names;
  for (const dns::MailHost& h : resolution_->hosts) names.push_back(h.name);
  traffic::Settings settings =
      config_.rules->for_site(mail::domain_of(request_.address), names, false);
  ConnectionSetup setup;
  setup.target = target.address;
  setup.host = host.name;
  setup.source = (*config_.sources)[source_].address;
  setup.session.ehlo_name = (*config_.sources)[source_].ehlo_name;
  setup.session.chunking = settings.chunking;
  setup.session.pipelining = settings.pipelining == traffic::Pipelining::off
                                 ? smtp::Pipelining::off
                                 : smtp::Pipelining::within;
  setup.session.timeouts = config_.timeouts;
  setup.messages_max = 1;
  setup.connect_timeout = settings.connect_timeout;
  setup.idle_timeout = settings.idle_timeout;
  setup.verp_key = parts_.verp_key;
  setup.message_id_domain = config_.message_id_domain;
  setup.transcript = &result_.transcript;
  result_.report.remote_host = host.name;
  result_.report.remote_address = target.address.ip.text();
  connection_ = std::make_unique<Connection>(parts_.loop, scratches_, *this, std::move(setup));
  auto opened = connection_->open();
  if (opened) return;
  Reply reply;
  reply.text = std::string("a socket could not be made: ") + std::strerror(opened.error());
  result_.transcript.push_back("* " + reply.text);
  fail_with(Stage::connect, Outcome::deferred, reply);
}

Message* Trial::next_message(Connection&) {
  if (taken_) return nullptr;
  taken_ = true;
  return message_;
}

void Trial::on_result(Connection&, Message* message, const smtp::RecipientResult& result,
                      const Reply& reply) {
  Judgement judgement = judge(result, reply, true, traffic::LostFinalReply::retry);
  judged_ = true;
  result_.report.outcome = judgement.outcome;
  result_.report.possible_duplicate = judgement.possible_duplicate;
  result_.report.stage = result.stage;
  result_.report.reply = reply;
  result_.report.bytes = message->size_bytes;
}

void Trial::on_end(Connection&, const smtp::SessionEnd& end) {
  if (!judged_) {
    result_.report.outcome = Outcome::deferred;
    result_.report.stage = end.stage;
    result_.report.reply = end.reply;
    bool next = end.cause != smtp::EndCause::stopped && !taken_ && next_target_ < targets_.size();
    if (next) {
      // The connection cannot be destroyed within its own call.
      parts_.loop.defer([this, alive = alive_] {
        if (*alive && !over_) connect_next();
      });
      return;
    }
  }
  finish();
}

void Trial::abandon() {
  if (over_) return;
  Reply reply;
  reply.text = "the daemon is stopping";
  if (connection_ && !judged_ && !connection_->ending()) return connection_->abandon();
  if (!connection_) fail_with(Stage::queue, Outcome::deferred, reply);
}

void Trial::fail_with(Stage stage, Outcome outcome, const Reply& reply) {
  result_.report.stage = stage;
  result_.report.outcome = outcome;
  result_.report.reply = reply;
  result_.transcript.push_back("* " + reply.text);
  finish();
}

void Trial::finish() {
  if (over_) return;
  over_ = true;
  if (message_ != nullptr) result_.report.duration = parts_.loop.now() - message_->started_at;
  done_(std::move(result_));
}

}  // namespace postring::delivery
