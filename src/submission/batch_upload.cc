#include "submission/batch_upload.h"

#include "base/json_writer.h"
#include "mail/id_text.h"
#include "submission/problems.h"

namespace postring::submission {
namespace {

// About 100 us of work, unpacking included.
constexpr uint32_t kSliceLines = 128;
constexpr size_t kSliceBytes = 24 * 1'024;
// What may wait before the client is held back. One receive of the server comes on top.
constexpr size_t kRawWaitingMax = 128 * 1'024;

}  // namespace

http::Response batch_response(const BatchAnswer& answer) {
  JsonWriter json;
  json.object().field("batch", mail::id_text(answer.batch));
  json.field("accepted", answer.accepted).field("duplicate", answer.duplicate);
  json.field("rejected", answer.rejected).key("rejections").raw(answer.rejections);
  http::Response response;
  response.status = 201;
  response.headers.emplace_back("Location", "/v1/batches/" + mail::id_text(answer.batch));
  response.body = json.end().take();
  return response;
}

BatchUpload::BatchUpload(Slices& slices, http::ExchangePtr exchange, BatchUploadForm form,
                         BatchBegun begun, WallTime now)
    : slices_(slices),
      exchange_(std::move(exchange)),
      form_(std::move(form)),
      begun_(std::move(begun)) {
  if (begun_.writer != nullptr) reader_.emplace(form_.format, *begun_.writer, now, form_.limits);
  if (form_.gzip) gunzip_.emplace();
  digest_.add(form_.digest_prefix);
}

void BatchUpload::start() {
  if (exchange_->gone()) {
    over_ = true;
    return;
  }
  self_ = shared_from_this();
  exchange_->receive_body(form_.limits.bytes, shared_from_this());
}

void BatchUpload::on_body(std::string_view bytes) {
  if (over_) return;
  if (raw_begin_ == raw_.size()) {
    raw_.clear();
    raw_begin_ = 0;
  } else if (raw_begin_ > kRawWaitingMax) {
    raw_.erase(0, raw_begin_);
    raw_begin_ = 0;
  }
  raw_ += bytes;
  if (raw_.size() - raw_begin_ >= kRawWaitingMax) {
    body_paused_ = true;
    exchange_->pause_body();
  }
  wake();
}

void BatchUpload::on_body_end() {
  raw_ended_ = true;
  wake();
}

void BatchUpload::on_body_lost() {
  exchange_ = nullptr;
  be_over();
}

// The last thing any function does with this object.
void BatchUpload::be_over() {
  over_ = true;
  reader_.reset();
  begun_.writer = nullptr;
  form_.ticket = nullptr;
  self_ = nullptr;
}

void BatchUpload::wake() {
  woken_ = true;
  if (queued_ || running_ || over_) return;
  queued_ = true;
  slices_.add(weak_from_this());
}

bool BatchUpload::run_slice() {
  if (over_) return false;
  running_ = true;
  woken_ = false;
  bool more = unpack() && read();
  if (!over_ && body_paused_ && raw_.size() - raw_begin_ < kRawWaitingMax / 2) {
    body_paused_ = false;
    exchange_->resume_body();
  }
  running_ = false;
  queued_ = !over_ && (more || woken_);
  return queued_;
}

// Moves some of what came to the reader. False where the upload is over.
bool BatchUpload::unpack() {
  if (fed_all_) return true;
  if (reader_ && !hungry_ && reader_->waiting_bytes() >= kSliceBytes) return true;
  std::string_view left = std::string_view(raw_).substr(raw_begin_);
  std::string_view text = left.substr(0, kSliceBytes);
  if (gunzip_) {
    unpacked_.clear();
    Gunzip::Status status = gunzip_->step(left, kSliceBytes, unpacked_);
    bool cut_off = raw_ended_ && left.empty() && unpacked_.empty() && !gunzip_->complete();
    if (status != Gunzip::Status::ok || cut_off) {
      bool too_much = status == Gunzip::Status::too_much;
      respond(http::problem({.status = static_cast<uint16_t>(too_much ? 413 : 400),
                             .type = too_much ? "compressed-too-well" : "bad-gzip",
                             .detail = too_much
                                           ? "the body unpacks to more than " +
                                                 std::to_string(kGunzipRatioMax) + " times its size"
                                           : "the body is not whole gzip data"}));
      return false;
    }
    raw_begin_ = raw_.size() - left.size();
    text = unpacked_;
  } else {
    raw_begin_ += text.size();
  }
  if (form_.keyed) digest_.add(text);
  unpacked_bytes_ += text.size();
  if (reader_) {
    reader_->feed(text);
  } else if (unpacked_bytes_ > form_.limits.bytes) {
    respond(answer_of({.why = Refusal::key_reused, .detail = "the body is another one"}));
    return false;
  }
  fed_all_ = raw_ended_ && raw_begin_ == raw_.size() &&
             (!gunzip_ || (gunzip_->complete() && text.size() < kSliceBytes));
  if (fed_all_ && reader_) reader_->feed_end();
  return true;
}

// True where a further slice has something to do.
bool BatchUpload::read() {
  bool raw_waits = raw_begin_ < raw_.size() || (raw_ended_ && !fed_all_);
  if (!reader_) {
    if (fed_all_) finish();
    return !over_ && raw_waits;
  }
  BatchReader::Progress progress = reader_->step(kSliceLines, kSliceBytes);
  hungry_ = progress == BatchReader::Progress::needs_bytes;
  switch (progress) {
    case BatchReader::Progress::more:
      return true;
    case BatchReader::Progress::needs_bytes:
      return raw_waits;
    case BatchReader::Progress::writer_full:
      begun_.writer->when_ready([weak = weak_from_this()] {
        if (auto self = weak.lock()) self->wake();
      });
      return false;
    case BatchReader::Progress::wrong:
      respond(http::problem(reader_->problem()));
      return false;
    case BatchReader::Progress::done:
      finish();
      return false;
  }
  return false;
}

void BatchUpload::finish() {
  Sha256 digest{};
  if (form_.keyed) digest = digest_.finish();
  if (!reader_) {
    if (digest == begun_.earlier_digest) {
      respond(batch_response(begun_.earlier));
    } else {
      respond(answer_of({.why = Refusal::key_reused,
                         .detail = "this Idempotency-Key came with another body before"}));
    }
    return;
  }
  if (reader_->recipients() == 0) {
    respond(http::problem(
        {.status = 422, .type = "empty-batch", .detail = "the body has no recipients"}));
    return;
  }
  auto writer = std::move(begun_.writer);
  uint64_t rejected = reader_->rejected();
  std::string rejections = reader_->take_rejections();
  writer->commit(digest, rejected, std::move(rejections),
                 [exchange = std::move(exchange_)](Result<BatchAnswer, Refused> result) {
                   exchange->respond(result ? batch_response(*result) : answer_of(result.error()));
                 });
  exchange_ = nullptr;
  be_over();
}

void BatchUpload::respond(http::Response response) {
  auto exchange = std::move(exchange_);
  exchange_ = nullptr;
  exchange->respond(std::move(response));
  be_over();
}

}  // namespace postring::submission
