// BatchUpload: one POST of recipients from its first byte to its answer.
//
// Takes the body as it comes, unpacks, reads and appends it in slices, holds the client back while
// the reader or the writer is behind, and commits when all of it is there. A client that goes away
// before leaves nothing. Keeps itself alive until it is answered.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/hash.h"
#include "http/exchange.h"
#include "submission/batch_reader.h"
#include "submission/gunzip.h"
#include "submission/slices.h"

namespace postring::submission {

struct BatchUploadForm {
  BatchFormat format = BatchFormat::ndjson;
  bool gzip = false;
  BatchLimits limits = {};
  bool keyed = false;  // an Idempotency-Key was given: the digest counts
  // What must be the same in a repeat beside the body: the path and the format.
  std::string digest_prefix;
  std::shared_ptr<void> ticket;  // held until the upload is over
};

class BatchUpload final : public http::BodySink,
                          public Slices::Task,
                          public std::enable_shared_from_this<BatchUpload> {
 public:
  // `begun` has a writer, or an earlier answer: then the body is only digested.
  BatchUpload(Slices& slices, http::ExchangePtr exchange, BatchUploadForm form, BatchBegun begun,
              WallTime now);

  void start();

  void on_body(std::string_view bytes) override;
  void on_body_end() override;
  void on_body_lost() override;
  bool run_slice() override;

 private:
  void wake();
  bool unpack();
  bool read();
  void finish();
  void respond(http::Response response);
  void be_over();

  Slices& slices_;
  http::ExchangePtr exchange_;
  BatchUploadForm form_;
  BatchBegun begun_;
  std::optional<BatchReader> reader_;
  std::optional<Gunzip> gunzip_;
  Sha256Stream digest_;
  std::string raw_;
  size_t raw_begin_ = 0;
  std::string unpacked_;
  uint64_t unpacked_bytes_ = 0;
  bool raw_ended_ = false;
  bool fed_all_ = false;
  bool body_paused_ = false;
  bool hungry_ = true;  // the reader has no whole line
  bool queued_ = false;
  bool running_ = false;
  bool woken_ = false;  // while running
  bool over_ = false;
  std::shared_ptr<BatchUpload> self_;  // until it is over
};

// The answer to a batch, also to its repetition.
http::Response batch_response(const BatchAnswer& answer);

}  // namespace postring::submission
