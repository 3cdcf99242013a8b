// Templates: text with {{fields}}, and where in HTML a field stands.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "mail/content.h"

namespace postring::mail {

struct TemplatePart {
  bool is_field = false;
  std::string_view text;  // the literal, or the field's name
  size_t byte = 0;        // where it starts in the template
};

// Cuts a template into literals and fields. `where` opens the message of an error:
// "subject, byte 12: ...".
Result<std::vector<TemplatePart>> parse_template(std::string_view text, std::string_view where);

bool has_field(const std::vector<TemplatePart>& parts);

// True for what may stand between {{ and }}.
bool is_field_name(std::string_view name);

// The error of a place in a source.
std::unexpected<Error> fail_at(std::string_view where, size_t byte, std::string_view what);

// Follows HTML from literal to literal and says how a value must be encoded where a field stands.
//
// It knows as much of HTML's tokenizer as that takes: tags, attributes and their quotes, comments,
// <script> and <style>. The inside of a conditional comment (<!--[if mso]> ... <![endif]-->) is
// HTML to it, as it is to the program it is for.
class HtmlScanner {
 public:
  void literal(std::string_view html);
  // The encoding of a value here, and that a value stands here; or why none can.
  Result<Encoding, std::string_view> field();

 private:
  enum class State {
    text,
    tag_open,
    tag_name,
    between,  // attributes
    attribute_name,
    after_name,
    before_value,
    value,
    comment,
    declaration,
    raw_text,  // script, style
  };

  void feed(char c);
  void feed_between(char c);
  void feed_value(char c);
  void end_tag();
  bool is_url_attribute() const;

  State state_ = State::text;
  char quote_ = 0;  // of the attribute's value; 0: unquoted
  bool value_empty_ = true;
  bool closing_ = false;   // the tag is </...
  std::string tag_;        // lower case
  std::string attribute_;  // lower case
  std::string recent_;     // the last bytes, to know "<!--", "-->" and "</script" by
};

}  // namespace postring::mail
