// What comes behind DATA and BDAT, and what becomes of it.
#include <openssl/evp.h>

#include <algorithm>

#include "session.h"

namespace mxsim {
namespace {

Hash sha256(std::string_view bytes) {
  Hash hash{};
  EVP_Digest(bytes.data(), bytes.size(), hash.data(), nullptr, EVP_sha256(), nullptr);
  return hash;
}

}  // namespace

void Session::data(size_t behind) {
  if (chunked_) violate("data_after_bdat", "");
  if (!in_transaction_ || recipient_count_ == 0 || chunked_) {
    // The client may not have known that no recipient was left; it must still not send a body.
    return reply(Stage::kData, "503 5.5.1 No valid recipients");
  }
  if (behind > 0) violate("sent_before_354", "");
  if (has_mischief(Stage::kData) && misbehave(Stage::kData, first().address, first().attempt))
    return;
  const Behaviour& b = site_.ledger ? behaviour_of(first().address) : behaviour();
  uint64_t refused_before = site_.counters->replies_5xx.load(std::memory_order_relaxed);
  if (refuse(Stage::kData, b, first().address, first().attempt)) {
    bool permanent = site_.counters->replies_5xx.load(std::memory_order_relaxed) != refused_before;
    for (const Recipient& each : recipients_)
      if (site_.ledger) site_.ledger->refused(each.address, permanent);
    return reset_transaction();
  }
  state_ = State::kData;
  dots_.reset();
  reply(Stage::kData, "354 End with a dot");
}

void Session::bdat(std::string_view line) {
  uint64_t size = 0;
  bool last = false;
  Parsed parsed = parse_bdat(line, size, last);
  if (!parsed.ok()) {
    violate(parsed.wrong, line);
    ending_ = Ending::kClose;  // where the chunk ends is unknown
    return reply(Stage::kBody, "501 5.5.4 BDAT SIZE [LAST]");
  }
  if (!behaviour().extensions.chunking) violate("chunking_not_offered", line);
  chunk_refused_ = chunk_refused_ || !in_transaction_ || recipient_count_ == 0;
  chunked_ = true;
  chunk_last_ = last;
  chunk_left_ = size;
  state_ = State::kChunk;
  if (size == 0) chunk_done();
}

void Session::chunk_done() {
  state_ = State::kCommands;
  if (chunk_refused_) {
    reply(Stage::kBody, "503 5.5.1 No valid recipients");
    if (chunk_last_) reset_transaction();
  } else if (chunk_last_) {
    message_done(false);
  } else {
    reply(Stage::kBody, "250 2.0.0 chunk taken");
  }
}

void Session::message_done(bool with_data) {
  state_ = State::kCommands;
  ++messages_;
  Counters& counters = *site_.counters;
  Received received;
  Hash hash{};
  if (site_.ledger) {
    received = unwrap(body_, with_data, mail_.eight_bit);
    hash = sha256(received.message);
    for (const std::string& name : received.violations) violate(name, mail_.sender);
    if (mail_.size && *mail_.size < received.message.size())
      violate("size_declared_too_small", std::to_string(*mail_.size));
  }
  const Behaviour& b = site_.ledger ? behaviour_of(first().address) : behaviour();
  Ending before = ending_;
  bool spoiled =
      has_mischief(Stage::kBody) && misbehave(Stage::kBody, first().address, first().attempt);
  if (spoiled) {
    bool dropped = ending_ != before && ending_ != Ending::kNone;
    bool accepted = dropped && b.drop_accepts;
    account(accepted, accepted, hash, received);
    return reset_transaction();
  }
  uint64_t refused_before = counters.replies_5xx.load(std::memory_order_relaxed);
  bool refused = received.message.size() > b.size_limit;
  if (refused)
    reply(Stage::kBody, "552 5.3.4 Message is too big");
  else
    refused = refuse(Stage::kBody, b, first().address, first().attempt);
  if (refused && site_.ledger) {
    bool permanent = counters.replies_5xx.load(std::memory_order_relaxed) != refused_before;
    for (const Recipient& each : recipients_) site_.ledger->refused(each.address, permanent);
  }
  account(!refused, false, hash, received);
  if (!refused) reply(Stage::kBody, "250 2.0.0 OK taken");
  reset_transaction();
}

void Session::account(bool accepted, bool reply_lost, const Hash& hash, const Received& received) {
  Counters& counters = *site_.counters;
  if (accepted) {
    Counters::add(counters.messages);
    Counters::add(counters.recipients, recipient_count_);
    Counters::add(counters.bytes, body_size_);
    if (reply_lost) Counters::add(counters.reply_lost, recipient_count_);
  }
  if (!site_.ledger) return;
  counters.last_message_ms.store(static_cast<uint64_t>(wall_ms()), std::memory_order_relaxed);
  Delivery delivery{&hash, received.message_id, mail_.sender, {}, client_, accepted, reply_lost};
  if (site_.keep_bodies) delivery.body = received.message;
  for (const Recipient& each : recipients_) site_.ledger->received(each.address, delivery);
}

uint64_t Session::skippable() const {
  return state_ == State::kChunk && !site_.ledger && !waiting() ? chunk_left_ : 0;
}

void Session::skip(uint64_t size) {
  chunk_left_ -= size;
  body_size_ += size;
  if (chunk_left_ == 0) chunk_done();
}

size_t Session::take_body(const char* bytes, size_t size) {
  if (body_size_ == 0 && has_mischief(Stage::kContent) &&
      misbehave(Stage::kContent, first().address, first().attempt))
    return 0;
  if (state_ == State::kChunk) {
    size_t used = static_cast<size_t>(std::min<uint64_t>(size, chunk_left_));
    if (site_.ledger && !chunk_refused_) body_.append(bytes, used);
    skip(used);
    return used;
  }
  size_t used = dots_.feed(bytes, size);
  body_size_ += used;
  if (site_.ledger) body_.append(bytes, used);
  if (dots_.done()) message_done(true);
  return used;
}

}  // namespace mxsim
