#include "delivery/connection.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/canary.h"
#include "base/mark.h"
#include "io/socket.h"

namespace postring::delivery {

namespace {

// Large contents have more pieces than one send takes.
constexpr size_t kPiecesPerSend = kVectorsMax;

smtp::SessionEnd connect_failed(const SocketAddress& target, smtp::EndCause cause,
                                std::string_view why) {
  smtp::SessionEnd end;
  end.cause = cause;
  end.before_mail = true;
  end.stage = Stage::connect;
  end.reply.enhanced[0] = 4;
  end.reply.enhanced[1] = 4;
  end.reply.enhanced[2] = 1;
  end.reply.text = "connect to " + target.text() + ": " + std::string(why);
  return end;
}

iovec piece_of(std::string_view text) {
  return {const_cast<char*>(text.data()), text.size()};
}

}  // namespace

Connection::Connection(Loop& loop, ScratchPool& scratches, ConnectionOwner& owner,
                       ConnectionSetup setup)
    : loop_(loop),
      scratches_(scratches),
      owner_(owner),
      setup_(std::move(setup)),
      remote_address_(setup_.target.ip.text()) {
  connect_.bind<&Connection::on_connected>(this);
  send_.bind<&Connection::on_sent>(this);
  receive_.bind<&Connection::on_received>(this);
  timer_.bind<&Connection::on_timer>(this);
}

Connection::~Connection() {
  for (Slot& slot : slots_) CHECK(!slot.used, "a connection goes with a message");
  if (socket_ >= 0) close_descriptor(socket_);
}

Result<void, int> Connection::open() {
  const IpAddress* source =
      setup_.source.family == IpAddress::Family::none ? nullptr : &setup_.source;
  auto socket = open_stream(setup_.target.ip.family, source);
  if (!socket) return std::unexpected(socket.error());
  socket_ = *socket;
  note("* connecting to " + setup_.host + " [" + setup_.target.text() + "]");
  loop_.ring().connect(connect_, socket_, setup_.target);
  set_timer(loop_.now() + setup_.connect_timeout);
  return {};
}

void Connection::wake() {
  if (idle_ && !closing_) pump();
}

void Connection::go_on() {
  if (waits_ && !closing_) pump();
}

void Connection::finish() {
  if (closing_) return;
  ending_ = true;
  if (!client_) return abandon();
  client_->finish();
  pump();
}

void Connection::stop() {
  if (closing_) return;
  ending_ = true;
  if (!client_) return abandon();
  client_->stop();
  pump();
}

void Connection::abandon() {
  if (closing_) return;
  ending_ = true;
  if (client_) return lose(ECANCELED);
  begin_close(connect_failed(setup_.target, smtp::EndCause::stopped, "given up"));
}

// ------------------------------------------------------------------------------------- completions

void Connection::on_connected(int32_t result) {
  if (closing_) return close_late(result);
  if (result < 0) {
    note(std::string("* ") + std::strerror(-result));
    begin_close(connect_failed(setup_.target, smtp::EndCause::lost, std::strerror(-result)));
    return;
  }
  note("* connected");
  client_.emplace(setup_.session);
  receive();
  pump();
}

void Connection::on_received(int32_t result) {
  if (closing_) return close_late(result);
  if (result == -EINTR || result == -EAGAIN) return receive();
  if (result <= 0) {
    note(result == 0 ? "* the peer closed the connection"
                     : std::string("* ") + std::strerror(-result));
    return lose(-result);
  }
  std::string_view bytes(reinterpret_cast<const char*>(buffer_.data()),
                         static_cast<size_t>(result));
  if (setup_.transcript != nullptr) note_lines("< ", bytes);
  client_->receive(bytes);
  pump();
  if (!closing_) receive();
}

void Connection::on_sent(int32_t result) {
  if (result == -EINTR || result == -EAGAIN) result = 0;
  if (result > 0) {
    flight_sent_bytes_ += static_cast<uint64_t>(result);
    auto left = static_cast<size_t>(result);
    while (left > 0) {
      iovec& piece = pieces_[pieces_sent_];
      size_t taken = std::min(left, piece.iov_len);
      piece.iov_base = static_cast<char*>(piece.iov_base) + taken;
      piece.iov_len -= taken;
      left -= taken;
      if (piece.iov_len == 0) ++pieces_sent_;
    }
  }
  bool whole = result >= 0 && flight_sent_bytes_ == flight_bytes_;
  if (!whole && result >= 0 && !closing_) {
    if (result > 0) set_timer(loop_.now() + client_->timeout());
    return send_pieces();
  }
  sending_ = false;
  for (Slot& slot : slots_) {
    if (!slot.flying) continue;
    slot.flying = false;
    if (slot.open == 0) release(slot);
  }
  if (closing_) return close_late(result);
  if (!whole) {
    note(std::string("* ") + std::strerror(-result));
    return lose(-result);
  }
  client_->flight_sent();
  pump();
}

void Connection::on_timer() {
  if (closing_) return;
  if (loop_.now() < deadline_) return loop_.timers().arm(timer_, deadline_);
  if (!client_) {
    note("* no answer");
    begin_close(connect_failed(setup_.target, smtp::EndCause::timed_out, "timed out"));
    return;
  }
  if (idle_) return finish();
  if (content_stands_still()) return stop();
  note("* timed out");
  client_->timed_out(!sending_ || flight_sent_bytes_ >= content_ends_at_bytes_);
  pump();
}

// --------------------------------------------------------------------------------------- the
// session

void Connection::pump() {
  if (pumping_) return;
  pumping_ = true;
  take_results();
  if (!ready_ && client_->wants_message()) {
    ready_ = true;
    owner_.on_ready(*this);
  }
  // MAIL must leave right after a message was taken: none is taken while a flight is under way.
  idle_ = false;
  waits_ = content_stands_still();
  bool quiet = !sending_ && !waits_;
  while (quiet && client_->wants_message() && offer_message()) take_results();
  take_results();
  if (quiet) send_flight();
  pumping_ = false;
  if (client_->must_close()) {
    begin_close(client_->end());
  } else {
    watch_time();
  }
}

// The peer has agreed to a message and its owner, now, does not.
bool Connection::content_stands_still() {
  if (!owner_.holds_contents) return false;
  std::optional<uint64_t> due = client_->content_due();
  if (!due) return false;
  auto& messages = slots_[*due].messages;
  return std::ranges::any_of(messages, [this](const Message* message) {
    return message != nullptr && owner_.stands_still(*message);
  });
}

void Connection::take_results() {
  if (client_->results().empty()) return;
  for (const smtp::RecipientResult& result : client_->results()) {
    Slot& slot = slots_[result.message];
    Message* message = std::exchange(slot.messages[result.recipient], nullptr);
    CHECK(message != nullptr, "a result for a message that has one");
    if (--slot.open == 0 && !slot.flying) release(slot);
    const Reply& reply = client_->reply_of(result);
    if (result.verdict != smtp::Verdict::unsent) ++messages_done_;
    if (reply.code != 0 && reply.code != 421) ++messages_answered_;
    owner_.on_result(*this, message, result, reply);
  }
  client_->clear_results();
}

bool Connection::offer_message() {
  if (messages_taken_ >= setup_.messages_max) {
    ending_ = true;
    client_->finish();
    return false;
  }
  auto slot = std::ranges::find_if(slots_, [](const Slot& s) { return !s.used; });
  if (slot == slots_.end()) return false;
  Message* message = owner_.next_message(*this);
  if (message == nullptr) {
    idle_ = !ending_ && client_->state() == smtp::State::idle;
    return false;
  }
  ++messages_taken_;
  take_messages(*slot, message);
  const smtp::Peer& peer = client_->peer();
  bool chunking = setup_.session.chunking && peer.chunking && !peer.chunking_failed;
  render_slot(*slot, chunking ? mail::Form::plain : mail::Form::dot_stuffed);
  std::array<std::string_view, smtp::kRecipientsMax> recipients;
  for (size_t i = 0; i < slot->messages.size(); ++i) {
    slot->messages[i]->size_bytes = slot->rendered.size_bytes;
    recipients[i] = slot->messages[i]->lease.address();
    if (canary(Canary::wrong_recipient)) recipients[i].remove_prefix(1);
  }
  smtp::Envelope envelope;
  envelope.message = static_cast<uint64_t>(slot - slots_.begin());
  envelope.sender = mail::render_return_path(*slot->content, input_of(*slot), *slot->scratch);
  envelope.recipients = std::span(recipients).first(slot->messages.size());
  envelope.size_bytes = slot->rendered.size_bytes;
  envelope.content_8bit = slot->rendered.needs_8bit;
  // The session sees by itself which addresses need it.
  envelope.smtputf8 = slot->content->needs_smtputf8();
  client_->offer(envelope);
  return true;
}

void Connection::take_messages(Slot& slot, Message* first) {
  slot.used = true;
  slot.scratch = scratches_.take();
  slot.content = first->content;
  for (Message* message = first; message != nullptr;) {
    slot.messages.push_back(message);
    message = std::exchange(message->next, nullptr);
  }
  slot.open = slot.messages.size();
  CHECK(slot.open <= smtp::kRecipientsMax);
}

// Any of the messages that are left will do: where there are several, they are the same.
mail::RenderInput Connection::input_of(const Slot& slot) const {
  auto left = std::ranges::find_if(slot.messages, [](Message* m) { return m != nullptr; });
  const queue::Lease& lease = (*left)->lease;
  mail::RenderInput input;
  input.recipient = lease.id;
  if (lease.shares_message && slot.content->same_for_all()) input.message = lease.batch;
  input.campaign = lease.campaign;
  input.address = lease.address();
  input.accepted_at = lease.accepted_at;
  if (canary(Canary::date_of_sending)) input.accepted_at = loop_.wall_now();
  input.values = lease.values();
  input.message_id_domain = setup_.message_id_domain;
  input.verp_key = setup_.verp_key;
  return input;
}

void Connection::render_slot(Slot& slot, mail::Form form) {
  slot.form = form;
  slot.rendered = mail::render(*slot.content, input_of(slot), form, *slot.scratch);
}

void Connection::release(Slot& slot) {
  scratches_.give_back(std::move(slot.scratch));
  slot.rendered = {};
  slot.messages.clear();
  slot.content = {};
  slot.used = false;
}

// ------------------------------------------------------------------------------------ bytes and
// time

void Connection::send_flight() {
  smtp::Flight flight;
  if (!client_->take_flight(flight)) return;
  pieces_.clear();
  pieces_sent_ = 0;
  flight_sent_bytes_ = 0;
  flight_bytes_ = flight.head.size() + flight.tail.size();
  content_ends_at_bytes_ = 0;
  if (!flight.head.empty()) pieces_.push_back(piece_of(flight.head));
  if (flight.body) {
    Slot& slot = slots_[flight.message];
    CHECK(slot.open > 0, "a flight with the content of nothing");
    mail::Form form =
        flight.form == smtp::Flight::Form::plain ? mail::Form::plain : mail::Form::dot_stuffed;
    if (form != slot.form) render_slot(slot, form);
    slot.flying = true;
    pieces_.insert(pieces_.end(), slot.rendered.pieces.begin(), slot.rendered.pieces.end());
    flight_bytes_ += slot.rendered.size_bytes;
    content_ends_at_bytes_ =
        flight.head.size() + slot.rendered.size_bytes + flight.tail_ends_content_bytes;
  }
  if (!flight.tail.empty()) pieces_.push_back(piece_of(flight.tail));
  if (setup_.transcript != nullptr) {
    note_lines("> ", flight.head);
    if (flight.body) {
      note("> [" + std::to_string(flight_bytes_ - flight.head.size() - flight.tail.size()) +
           " bytes of content]");
    }
    note_lines("> ", flight.tail);
  }
  sending_ = true;
  send_pieces();
}

void Connection::send_pieces() {
  // Empty pieces would make no progress.
  while (pieces_sent_ < pieces_.size() && pieces_[pieces_sent_].iov_len == 0) ++pieces_sent_;
  std::span<const iovec> left(pieces_);
  left = left.subspan(pieces_sent_);
  loop_.ring().send(send_, socket_, left.first(std::min(left.size(), kPiecesPerSend)));
}

void Connection::receive() {
  loop_.ring().receive(receive_, socket_, buffer_);
}

// The timer is moved only when it would fire too late: a deadline that has moved on is found out
// when it fires.
void Connection::set_timer(Instant deadline) {
  deadline_ = deadline;
  if (!timer_.armed() || deadline < timer_.when()) loop_.timers().arm(timer_, deadline);
}

void Connection::watch_time() {
  if (idle_) return set_timer(loop_.now() + setup_.idle_timeout);
  if (client_->progress() == progress_) return;
  progress_ = client_->progress();
  set_timer(loop_.now() + client_->timeout());
}

// ------------------------------------------------------------------------------------------ the
// end

void Connection::lose(int error_number) {
  idle_before_end_ = idle_;
  // Results come out of this; the session is over.
  client_->lost(error_number, !sending_ || flight_sent_bytes_ >= content_ends_at_bytes_);
  pump();
}

void Connection::begin_close(const smtp::SessionEnd& end) {
  CHECK(!closing_);
  closing_ = true;
  ending_ = true;
  idle_ = false;
  end_ = end;
  loop_.timers().disarm(timer_);
  Ring& ring = loop_.ring();
  ring.cancel(connect_);
  ring.cancel(send_);
  ring.cancel(receive_);
  close_when_quiet();
}

void Connection::close_late(int32_t result) {
  if (result >= 0) mark(Mark::late_completion);
  close_when_quiet();
}

void Connection::close_when_quiet() {
  if (connect_.busy() || send_.busy() || receive_.busy()) return;
  for (Slot& slot : slots_) {
    if (!slot.used) continue;
    CHECK(slot.open == 0, "a message without a result at the end of its connection");
    release(slot);
  }
  close_descriptor(socket_);
  socket_ = -1;
  note("* closed");
  owner_.on_end(*this, end_);
}

void Connection::note(std::string line) {
  if (setup_.transcript != nullptr) setup_.transcript->push_back(std::move(line));
}

void Connection::note_lines(const char* mark, std::string_view bytes) {
  while (!bytes.empty()) {
    size_t end = std::min(bytes.find('\n'), bytes.size());
    std::string_view line = bytes.substr(0, end);
    bytes.remove_prefix(std::min(end + 1, bytes.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    note(mark + std::string(line));
  }
}

}  // namespace postring::delivery
