#include "mail/render.h"

#include <cstring>

#include "base/check.h"
#include "base/time_text.h"
#include "mail/address.h"
#include "mail/encode.h"
#include "mail/utf8.h"
#include "mail/values.h"

namespace postring::mail {
namespace {

constexpr size_t kReturnPathStepRoom = 512;
static_assert(kReturnPathStepRoom >= kCopiedLiteralMax && kReturnPathStepRoom >= kMailboxMax * 2);

constexpr char kHexDigits[] = "0123456789abcdef";

char* put(std::string_view bytes, char* out) {
  if (!bytes.empty()) std::memcpy(out, bytes.data(), bytes.size());
  return out + bytes.size();
}

}  // namespace

// One rendering. `out_` runs through memory that was sized for the worst case beforehand, so that
// no step looks for room.
class Renderer {
 public:
  Renderer(const Content& content, const RenderInput& input, Form form, Scratch& scratch)
      : content_(content), input_(input), form_(form), scratch_(scratch) {
    CHECK(input.message_id_domain.size() <= kDomainMax);
    CHECK(input.message == 0 || content.same_for_all());
    uint64_t id = input.message != 0 ? input.message : input.recipient;
    for (size_t i = 0; i < sizeof(scratch.id_); ++i) {
      scratch.id_[i] = kHexDigits[id >> (60 - 4 * i) & 15];
    }
    if (content.uses_verp()) make_token();
  }

  Rendered message() {
    read_values();
    size_t room = room_needed();
    bool outgrown = scratch_.capacity_ > kScratchKeptBytes && room < scratch_.capacity_ / 8;
    if (scratch_.capacity_ < room || outgrown) {
      scratch_.bytes_.reset(new char[room]);
      scratch_.capacity_ = room;
    }
    scratch_.pieces_.clear();
    char* end = scratch_.bytes_.get() + room;
    out_ = run_start_ = scratch_.bytes_.get();
    run(content_.head());
    run(content_.body());
    close_run();
    CHECK(out_ <= end, "rendering outgrew its room");
    return {scratch_.pieces_, size_bytes_, content_.needs_8bit(),
            content_.needs_smtputf8() || !is_ascii(input_.address)};
  }

  std::string_view return_path() {
    for (const Step& step : content_.return_path()) {
      bool needs_values = step.kind == StepKind::value && step.field < content_.fields().size();
      if (needs_values) {
        read_values();
        break;
      }
    }
    // Every value in an address is cut to a length of its own (Content::load knows the steps).
    size_t room = content_.return_path().size() * kReturnPathStepRoom;
    if (scratch_.return_path_.size() < room) scratch_.return_path_.resize(room);
    char* start = out_ = run_start_ = scratch_.return_path_.data();
    run(content_.return_path());
    CHECK(out_ <= start + room, "rendering outgrew its room");
    return {start, static_cast<size_t>(out_ - start)};
  }

 private:
  // Values that were damaged on their way are rendered as missing ones: every attempt alike.
  void read_values() { decode_values(content_, input_.values, scratch_.values_); }

  // Message and return path of a recipient ask for the same token one after the other.
  void make_token() {
    CHECK(input_.verp_key != nullptr, "this content needs a VERP key");
    bool made = scratch_.verp_bytes_ > 0 && scratch_.verp_key_ == *input_.verp_key &&
                scratch_.verp_id_ == VerpId{input_.campaign, input_.recipient};
    if (made) return;
    scratch_.verp_key_ = *input_.verp_key;
    scratch_.verp_id_ = {input_.campaign, input_.recipient};
    scratch_.verp_bytes_ = verp_encode(*input_.verp_key, scratch_.verp_id_, scratch_.verp_);
  }

  size_t room_needed() const {
    size_t room = content_.fixed_room();
    room += content_.own_slots() * value_bound(std::max(input_.address.size(), kVerpTokenMax));
    const std::vector<Field>& fields = content_.fields();
    for (size_t i = 0; i < fields.size(); ++i) {
      room += fields[i].slots * value_bound(scratch_.values_[i].size());
    }
    return room;
  }

  std::string_view value_of(uint16_t field) const {
    switch (field) {
      case kFieldAddress:
        return input_.address;
      case kFieldRecipientId:
        return {scratch_.id_, sizeof(scratch_.id_)};
      case kFieldVerp:
        return {scratch_.verp_.data(), scratch_.verp_bytes_};
      default:
        return scratch_.values_[field];
    }
  }

  void run(const std::vector<Step>& steps) {
    for (const Step& step : steps) {
      switch (step.kind) {
        case StepKind::literal:
          literal(step);
          break;
        case StepKind::value:
          out_ = put_value(step.encoding, value_of(step.field), out_);
          break;
        case StepKind::date:
          out_ = put(date(), out_);
          break;
        case StepKind::message_id:
          *out_++ = '<';
          // Batches and recipients are counted apart.
          if (input_.message != 0) out_ = put("m.", out_);
          out_ = put({scratch_.id_, sizeof(scratch_.id_)}, out_);
          *out_++ = '@';
          out_ = put(input_.message_id_domain, out_);
          *out_++ = '>';
          break;
        case StepKind::header_begin:
          group_start_ = out_;
          column_ = step.size;
          break;
        case StepKind::uri_begin:
          group_start_ = out_;
          break;
        case StepKind::header_text:
          take_group();
          out_ = put_header_text(scratch_.text_, column_, out_);
          break;
        case StepKind::header_name:
          take_group();
          out_ = put_display_name(scratch_.text_, column_, out_);
          break;
        case StepKind::uri_end:
          if (static_cast<size_t>(out_ - group_start_) > kUnbrokenMax) {
            take_group();
            out_ = put_folded_uri(scratch_.text_, out_);
          }
          group_start_ = nullptr;
          break;
      }
    }
  }

  // Moves what the group's steps wrote to scratch_.text_, to be written anew in its place.
  void take_group() {
    scratch_.text_.assign(group_start_, static_cast<size_t>(out_ - group_start_));
    out_ = group_start_;
    group_start_ = nullptr;
  }

  void literal(const Step& step) {
    bool plain = form_ == Form::plain;
    const char* bytes = content_.pool().data() + (plain ? step.offset : step.stuffed_offset);
    size_t size = plain ? step.size : step.stuffed_size;
    if (size <= kCopiedLiteralMax || group_start_ != nullptr) {
      out_ = put({bytes, size}, out_);
      return;
    }
    close_run();
    push(bytes, size);
  }

  void close_run() {
    if (out_ != run_start_) push(run_start_, static_cast<size_t>(out_ - run_start_));
    run_start_ = out_;
  }

  void push(const char* bytes, size_t size) {
    scratch_.pieces_.push_back({const_cast<char*>(bytes), size});
    size_bytes_ += size;
  }

  std::string_view date() {
    int64_t second = input_.accepted_at.whole_seconds();
    if (second != scratch_.date_second_) {
      scratch_.date_ = rfc5322_date(input_.accepted_at);
      scratch_.date_second_ = second;
    }
    return scratch_.date_;
  }

  const Content& content_;
  const RenderInput& input_;
  Form form_;
  Scratch& scratch_;
  char* out_ = nullptr;
  char* run_start_ = nullptr;    // of what no piece names yet
  char* group_start_ = nullptr;  // of a header's text or a URI being put together
  size_t column_ = 0;
  uint64_t size_bytes_ = 0;
};

Rendered render(const Content& content, const RenderInput& input, Form form, Scratch& scratch) {
  return Renderer(content, input, form, scratch).message();
}

std::string_view render_return_path(const Content& content, const RenderInput& input,
                                    Scratch& scratch) {
  return Renderer(content, input, Form::plain, scratch).return_path();
}

}  // namespace postring::mail
