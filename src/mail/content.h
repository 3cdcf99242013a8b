// Content: a compiled message, immutable, shared by all its recipients.
//
// Its bytes come from compile_content (mail/content_source.h), are stored once and named by their
// SHA-256. Content::load reads them and checks everything that rendering relies on, so that a
// damaged file is an error here and never a wrong read later. A Content points into the bytes it
// was loaded from (a map of the file, or a string): they must outlive it and every rendering of it.
// It is read-only: workers may share one.
//
//     file    := "PRCT" version:u16 flags:u16 tables_size:u32 crc32c:u32 tables pool
//     tables  := count { field } program program program       (head, body, return path)
//     field   := name:text field_flags:u8 default:text
//     program := count { kind:u8 step }
//     step    := offset size stuffed_offset stuffed_size        literal
//              | encoding:u8 field                              value
//              | column                                         header_begin
//              | nothing                                        all others
//     pool    := the literals' bytes
//
// Numbers are varints where no width is given, little-endian where one is; the checksum covers
// tables and pool.
//
// A program is a list of steps. The head is rendered into one run of bytes (headers that differ per
// recipient come first); the body's literals are sent from where they lie. Literals are encoded for
// the wire already, and where dot-stuffing changes one it is there twice (RFC 5321 section 4.5.2).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/result.h"

namespace postring::mail {

constexpr uint16_t kContentVersion = 1;

// How a value is written where it stands.
enum class Encoding : uint8_t {
  plain = 0,     // into the text of a header that is encoded as a whole
  qp_text,       // quoted-printable text
  qp_html,       // HTML-escaped, then quoted-printable
  qp_url,        // percent-encoded; safe in HTML and quoted-printable as it stands
  qp_url_start,  // as qp_url, or a whole URL escaped for HTML
  uri,           // percent-encoded, in a header or address
  uri_start,     // as uri, or a whole URL
  local_part,    // letters, digits and ._+=-
  mailbox,       // a whole address
};
constexpr uint8_t kEncodings = 9;

// Values that need no field of the recipient's, numbered above every field.
constexpr uint16_t kFieldAddress = 0xfff0;
constexpr uint16_t kFieldRecipientId = 0xfff1;
constexpr uint16_t kFieldVerp = 0xfff2;

enum class StepKind : uint8_t {
  literal = 0,   // bytes of the pool
  value,         // a field in an encoding
  date,          // the acceptance time as RFC 5322 says it
  message_id,    // "<ID@DOMAIN>"
  header_begin,  // the steps up to header_end make the text of a header ...
  header_text,   // ... which ends here and is unstructured: encoded and folded as a whole
  header_name,   // ... which ends here and is a display name, followed by its address
  uri_begin,     // the steps up to uri_end make a URI ...
  uri_end,       // ... which ends here and is folded where a line would be too long
};
constexpr uint8_t kStepKinds = 9;

struct Step {
  StepKind kind = StepKind::literal;
  Encoding encoding = Encoding::plain;
  uint16_t field = 0;
  uint32_t offset = 0;  // literal: in the pool
  uint32_t size = 0;
  uint32_t stuffed_offset = 0;  // the same, dot-stuffed
  uint32_t stuffed_size = 0;
};

struct Field {
  std::string_view name;
  std::string_view default_value;
  bool has_default = false;
  bool is_mailbox = false;  // stands as a whole address somewhere: its value must be one
  uint32_t slots = 0;       // how often it stands in head, body and return path
};

// What a content is made of, on its way to bytes.
struct ContentParts {
  struct OwnedField {
    std::string name;
    std::string default_value;
    bool has_default = false;
    bool is_mailbox = false;
  };
  std::vector<OwnedField> fields;
  std::vector<Step> head;
  std::vector<Step> body;
  std::vector<Step> return_path;
  std::string pool;
  bool rejects_missing = false;
  bool has_unsubscribe = false;
  bool needs_8bit = false;
  bool needs_smtputf8 = false;
};

std::string write_content(const ContentParts& parts);

// Literals up to this size are copied beside their neighbours: cheaper than a piece of their own.
constexpr size_t kCopiedLiteralMax = 256;

class Content {
 public:
  // The bytes must outlive the Content. An error says what is wrong with them.
  static Result<Content> load(std::string_view bytes);

  std::string_view bytes() const { return bytes_; }

  const std::vector<Field>& fields() const { return fields_; }
  // The index of a field by its name; nothing for a name that stands nowhere in the content.
  std::optional<uint16_t> find_field(std::string_view name) const;

  bool rejects_missing() const { return rejects_missing_; }
  bool has_unsubscribe() const { return has_unsubscribe_; }  // a List-Unsubscribe header
  bool needs_8bit() const { return needs_8bit_; }          // 8BITMIME, RFC 6152: raw messages only
  bool needs_smtputf8() const { return needs_smtputf8_; }  // headers of raw messages only
  bool uses_verp() const { return uses_verp_; }            // rendering needs a VerpKey
  // Nothing of a recipient stands in it: message and return path may be those of several.
  bool same_for_all() const { return fields_.empty() && own_slots_ == 0; }
  // The size of the message without its values, to plan with.
  uint64_t literal_bytes() const { return literal_bytes_; }

  const std::vector<Step>& head() const { return head_; }
  const std::vector<Step>& body() const { return body_; }
  const std::vector<Step>& return_path() const { return return_path_; }
  std::string_view pool() const { return pool_; }

  // Room in bytes that rendering needs besides the values: small literals, headers, our own values.
  size_t fixed_room() const { return fixed_room_; }
  // How often one of our own values stands in it.
  uint32_t own_slots() const { return own_slots_; }

 private:
  std::string_view load_tables(std::string_view tables);
  std::string_view check_program(const std::vector<Step>& program, bool in_lines);
  std::string_view check_literal(const Step& step, bool grouped, bool& at_line_start);
  std::string_view check_step(const Step& step, StepKind& group, bool& at_line_start);

  std::string_view bytes_;
  std::string_view pool_;
  std::vector<Field> fields_;
  std::vector<uint16_t> buckets_;  // open addressing on hash64 of the name; 0xffff: free
  std::vector<Step> head_;
  std::vector<Step> body_;
  std::vector<Step> return_path_;
  uint64_t literal_bytes_ = 0;
  size_t fixed_room_ = 0;
  uint32_t own_slots_ = 0;
  bool rejects_missing_ = false;
  bool has_unsubscribe_ = false;
  bool needs_8bit_ = false;
  bool needs_smtputf8_ = false;
  bool uses_verp_ = false;
};

// The name a content is stored and referred to by: the SHA-256 of its bytes in hexadecimal.
std::string content_name(std::string_view bytes);

}  // namespace postring::mail
