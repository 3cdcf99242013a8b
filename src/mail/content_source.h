// ContentSource: what a campaign's author wrote, and its way to compiled content.
//
// Compiling happens once per campaign; everything that can be wrong with a template is said here,
// with the part and the byte, and nothing can be wrong later. The result is the bytes of a Content
// (mail/content.h), which are stored under their SHA-256.
//
// `{{name}}` stands for a value of the recipient; spaces inside the braces do not matter. A name is
// a letter or '_' and then letters, digits, '_', '.', '-' (or UTF-8), at most kFieldNameMax bytes.
// What the value is encoded as follows from where it stands:
//
//     text part                    as it is
//     HTML text, quoted attribute  & < > " ' escaped
//     href, src and alike          percent-encoded; a value at the very start that begins with
//                                  http://, https://, mailto: or tel: is a whole URL and keeps its
//                                  reserved characters
//     unsubscribe URIs             the same as href
//     unstructured header          RFC 2047 where needed, controls become spaces
//     display name                 atom, quoted string or RFC 2047, whichever is needed
//     local part of an address     bytes other than letters, digits and ._+=- become '_'
//     a whole address              must be one (checked when the recipient is submitted)
//
// A field in a tag's name, an unquoted attribute, <script> or <style> is refused: no encoding is
// safe there. Some names are ours and need no value:
//
//     {{address}}          the recipient's address
//     {{recipient_id}}     its id, 16 hexadecimal digits
//     {{verp}}             its token (mail/verp.h)
//     {{unsubscribe_url}}  the https URI of `unsubscribe`, with its fields filled in
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace postring::mail {

constexpr size_t kFieldsMax = 256;            // different names in one content
constexpr size_t kFieldNameMax = 64;          // bytes
constexpr size_t kSlotsMax = 4'096;           // places where a value stands
constexpr size_t kHeadersMax = 64;            // extra headers
constexpr size_t kHeaderTemplateMax = 4'096;  // bytes of one header's template
constexpr size_t kDefaultMax = 4'096;         // bytes of one default value
constexpr size_t kPartMax = 16u << 20;        // bytes of text or html
constexpr size_t kAttachmentsMax = 64;
constexpr size_t kContentMax = 64u << 20;  // bytes of all parts of the source together
constexpr size_t kMimeDepthMax = 16;       // of a raw message that has fields

struct SourceHeader {
  std::string name;
  std::string value;  // a template
};

struct SourceAttachment {
  std::string filename;
  std::string content_type;  // "type/subtype"; empty: application/octet-stream
  std::string bytes;
  std::string content_id;  // not empty: shown inside the HTML as cid:CONTENT_ID
};

struct SourceDefault {
  std::string field;
  std::string value;
};

enum class MissingField : uint8_t {
  use_default,  // the field's default, or nothing where it has none
  reject,       // the recipient is refused unless the field has a default
};

struct ContentSource {
  // Either these ...
  std::string subject;
  std::string from;      // "Name <local@domain>" or "local@domain"; required
  std::string reply_to;  // empty: no such header
  std::string to;        // empty: "{{address}}"
  std::vector<SourceHeader> headers;
  std::string text;
  std::string html;
  std::vector<SourceAttachment> attachments;

  // ... or a whole RFC 5322 message. Without fields it leaves byte for byte but for its line ends,
  // which become CRLF; Date and Message-ID are put in front where they are missing.
  std::string raw;

  // False: '{{' means nothing in raw, and everything in it stays as it is.
  bool merge = true;

  // A template of URIs, one https and perhaps one mailto, separated by spaces or commas, with or
  // without <>; "none": no such header. Empty counts as "none" here: who may leave it out is the
  // submission's to decide.
  std::string unsubscribe;

  // The envelope's sender, a template of an address; "<>" the null one; empty: the address of
  // `from` (a raw message's From).
  std::string return_path;

  std::vector<SourceDefault> defaults;
  MissingField missing_field = MissingField::use_default;
};

// The bytes of the Content. Errors name the part and the byte: "html, byte 120: ...".
Result<std::string> compile_content(const ContentSource& source);

}  // namespace postring::mail
