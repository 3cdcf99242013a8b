#include "mail/content_source.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/hash.h"
#include "mail/content_builder.h"
#include "mail/encode.h"
#include "mail/lines.h"
#include "mail/mime.h"
#include "mail/raw_message.h"
#include "mail/utf8.h"

namespace postring::mail {
namespace {

constexpr size_t kHeaderNameMax = 64;
constexpr size_t kFilenameMax = 255;
constexpr size_t kContentTypeMax = 200;
constexpr size_t kContentIdMax = 200;
constexpr size_t kParameterLineMax = 60;

bool is_token(std::string_view text) {
  for (char c : text) {
    if (c <= ' ' || c > 126 || std::string_view("()<>@,;:\\\"/[]?=").contains(c)) return false;
  }
  return !text.empty();
}

// Headers that are written here, by a hop on the way, or never.
bool is_reserved(std::string_view name) {
  std::string folded = to_lower(name);
  for (std::string_view ours :
       {"date", "message-id", "from", "reply-to", "to", "subject", "mime-version", "bcc",
        "return-path", "received", "dkim-signature", "list-unsubscribe", "list-unsubscribe-post"}) {
    if (folded == ours) return true;
  }
  return folded.starts_with("content-") || folded.starts_with("arc-");
}

// A MIME parameter by RFC 2231 where it must be, in pieces where it is long.
std::string parameter(std::string_view name, std::string_view value) {
  bool plain = value.size() <= kParameterLineMax;
  for (char c : value) plain = plain && c >= ' ' && c < 127 && c != '"' && c != '\\';
  if (plain) return fmt::format(";\r\n {}=\"{}\"", name, value);
  std::vector<std::string> chunks(1, "utf-8''");
  for (char c : value) {
    bool kept = is_token({&c, 1}) && c != '%' && c != '*' && c != '\'';
    if (chunks.back().size() + 3 > kParameterLineMax) chunks.emplace_back();
    if (kept) {
      chunks.back() += c;
    } else {
      chunks.back() += fmt::format("%{:02X}", static_cast<uint8_t>(c));
    }
  }
  if (chunks.size() == 1) return fmt::format(";\r\n {}*={}", name, chunks[0]);
  std::string out;
  for (size_t i = 0; i < chunks.size(); ++i) {
    out += fmt::format(";\r\n {}*{}*={}", name, i, chunks[i]);
  }
  return out;
}

Result<void> check_attachment(const SourceAttachment& attachment, std::string_view where) {
  size_t bad = find_bad_utf8(attachment.filename);
  if (bad != std::string::npos) return fail_at(where, bad, "a filename that is not UTF-8");
  if (attachment.filename.size() > kFilenameMax) {
    return fail(fmt::format("{}: a filename longer than {} bytes", where, kFilenameMax));
  }
  for (char c : attachment.filename) {
    if (static_cast<uint8_t>(c) < ' ' || c == 127) {
      return fail(fmt::format("{}: a control character in the filename", where));
    }
  }
  std::string_view type = attachment.content_type;
  if (!type.empty()) {
    size_t slash = type.find('/');
    size_t end = std::min(type.find(';'), type.size());
    bool good = type.size() <= kContentTypeMax && slash < end && is_token(type.substr(0, slash)) &&
                is_token(trim_blanks(type.substr(slash + 1, end - slash - 1)));
    for (char c : type) good = good && c >= ' ' && c < 127;
    if (!good) return fail(fmt::format("{}: '{}' is no type/subtype", where, type));
    std::string folded = to_lower(type);
    if (folded.starts_with("multipart/") || folded.starts_with("message/")) {
      return fail(fmt::format("{}: {} cannot be attached", where, folded.substr(0, end)));
    }
  }
  for (char c : attachment.content_id) {
    if (c <= ' ' || c > 126 || c == '<' || c == '>') {
      return fail(fmt::format("{}: a byte no Content-ID holds", where));
    }
  }
  if (attachment.content_id.size() > kContentIdMax) {
    return fail(fmt::format("{}: a Content-ID longer than {} bytes", where, kContentIdMax));
  }
  return {};
}

// Writes the body of a message as MIME entities nested as needed:
//
//     mixed( alternative( text, related( html, inline ... ) ), attachment ... )
//
// with every level left out that would have one part.
class BodyWriter {
 public:
  BodyWriter(const ContentSource& source, ContentBuilder& builder)
      : source_(source), builder_(builder) {}

  Result<void> write() {
    for (const SourceAttachment& attachment : source_.attachments) {
      bool inlined = !attachment.content_id.empty() && !source_.html.empty();
      (inlined ? inline_ : attached_).push_back(&attachment);
    }
    builder_.literal(builder_.head(), "MIME-Version: 1.0\r\n");
    Program& header = builder_.head();
    if (attached_.empty()) return alternative(header);
    std::string boundary = open(header, "mixed");
    if (auto ok = alternative(builder_.body()); !ok) return ok;
    for (const SourceAttachment* attachment : attached_) {
      next(boundary);
      attach(*attachment, "attachment");
    }
    close(boundary);
    return {};
  }

 private:
  // Boundaries come from the content, not from the recipient: every recipient's body is the same
  // where no field differs. "=_" can start no line of quoted-printable or base64 (RFC 2045 section
  // 6.7), so no value can name one.
  std::string make_boundary() {
    if (digest_.empty()) {
      std::string all;
      for (const std::string* text : {&source_.subject, &source_.text, &source_.html}) {
        all += hex(sha256(*text));
      }
      for (const SourceAttachment& one : source_.attachments) all += hex(sha256(one.bytes));
      digest_ = hex(sha256(all)).substr(0, 24);
    }
    return fmt::format("=_{}_{}", digest_, levels_++);
  }

  std::string open(Program& header, std::string_view subtype) {
    std::string boundary = make_boundary();
    builder_.literal(header, fmt::format("Content-Type: multipart/{};\r\n boundary=\"{}\"\r\n\r\n",
                                         subtype, boundary));
    builder_.literal(builder_.body(), fmt::format("--{}\r\n", boundary));
    return boundary;
  }
  void next(std::string_view boundary) {
    builder_.literal(builder_.body(), fmt::format("\r\n--{}\r\n", boundary));
  }
  void close(std::string_view boundary) {
    builder_.literal(builder_.body(), fmt::format("\r\n--{}--\r\n", boundary));
  }

  Result<void> alternative(Program& header) {
    if (source_.html.empty()) return text(header, source_.text, false);
    if (source_.text.empty()) return related(header);
    std::string boundary = open(header, "alternative");
    if (auto ok = text(builder_.body(), source_.text, false); !ok) return ok;
    next(boundary);
    if (auto ok = related(builder_.body()); !ok) return ok;
    close(boundary);
    return {};
  }

  Result<void> related(Program& header) {
    if (inline_.empty()) return text(header, source_.html, true);
    std::string boundary = open(header, "related");
    if (auto ok = text(builder_.body(), source_.html, true); !ok) return ok;
    for (const SourceAttachment* attachment : inline_) {
      next(boundary);
      attach(*attachment, "inline");
    }
    close(boundary);
    return {};
  }

  Result<void> text(Program& header, std::string_view text, bool html) {
    auto part = builder_.text_part(text, html, true, html ? "html" : "text");
    if (!part) return std::unexpected(part.error());
    builder_.literal(header, fmt::format("Content-Type: text/{}; charset=utf-8\r\n"
                                         "Content-Transfer-Encoding: {}\r\n\r\n",
                                         html ? "html" : "plain", part->transfer_encoding));
    builder_.append(builder_.body(), part->program);
    return {};
  }

  void attach(const SourceAttachment& attachment, std::string_view disposition) {
    std::string_view type = attachment.content_type;
    std::string header =
        fmt::format("Content-Type: {}", type.empty() ? "application/octet-stream" : type);
    if (!attachment.filename.empty()) header += parameter("name", attachment.filename);
    header += fmt::format("\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: {}",
                          disposition);
    if (!attachment.filename.empty()) header += parameter("filename", attachment.filename);
    header += "\r\n";
    if (!attachment.content_id.empty()) {
      header += fmt::format("Content-ID: <{}>\r\n", attachment.content_id);
    }
    builder_.literal(builder_.body(), header + "\r\n");
    builder_.literal(builder_.body(), base64_lines(attachment.bytes));
  }

  const ContentSource& source_;
  ContentBuilder& builder_;
  std::vector<const SourceAttachment*> inline_;
  std::vector<const SourceAttachment*> attached_;
  std::string digest_;
  size_t levels_ = 0;
};

Result<void> write_headers(const ContentSource& source, ContentBuilder& builder) {
  Program& head = builder.head();
  Step step;
  builder.literal(head, "Date: ");
  step.kind = StepKind::date;
  head.push_back(step);
  builder.literal(head, "\r\nMessage-ID: ");
  step.kind = StepKind::message_id;
  head.push_back(step);
  builder.literal(head, "\r\n");
  if (auto ok = builder.mailboxes("From", source.from, "from", false); !ok) return ok;
  if (!source.reply_to.empty()) {
    auto ok = builder.mailboxes("Reply-To", source.reply_to, "reply_to", false);
    if (!ok) return ok;
  }
  std::string_view to = source.to.empty() ? std::string_view("{{address}}") : source.to;
  if (auto ok = builder.mailboxes("To", to, "to", false); !ok) return ok;
  if (auto ok = builder.unstructured("Subject", source.subject, "subject"); !ok) return ok;
  if (auto ok = builder.list_unsubscribe(); !ok) return ok;
  for (size_t i = 0; i < source.headers.size(); ++i) {
    const SourceHeader& header = source.headers[i];
    std::string where = fmt::format("headers[{}], {}", i, header.name.substr(0, kHeaderNameMax));
    bool named = is_token(header.name) && header.name.size() <= kHeaderNameMax;
    if (!named) return fail(where + ": a bad header name");
    if (is_reserved(header.name)) return fail(where + ": this header is not yours to set");
    bool list = equals_folded(header.name, "cc") || equals_folded(header.name, "sender");
    auto ok = list ? builder.mailboxes(header.name, header.value, where, false)
                   : builder.unstructured(header.name, header.value, where);
    if (!ok) return ok;
  }
  return {};
}

Result<void> check_source(const ContentSource& source) {
  if (source.from.empty()) return fail("from: is required");
  if (source.text.empty() && source.html.empty()) return fail("text or html: one is required");
  if (source.headers.size() > kHeadersMax) {
    return fail(fmt::format("headers: more than {}", kHeadersMax));
  }
  if (source.attachments.size() > kAttachmentsMax) {
    return fail(fmt::format("attachments: more than {}", kAttachmentsMax));
  }
  size_t total = source.text.size() + source.html.size();
  for (size_t i = 0; i < source.attachments.size(); ++i) {
    const SourceAttachment& attachment = source.attachments[i];
    total += attachment.bytes.size();
    auto ok = check_attachment(attachment, fmt::format("attachments[{}]", i));
    if (!ok) return ok;
  }
  if (total > kContentMax) {
    return fail(fmt::format("content: {} bytes in all; at most {}", total, kContentMax));
  }
  return {};
}

Result<std::string> compile_parts(const ContentSource& source) {
  if (auto ok = check_source(source); !ok) return std::unexpected(ok.error());
  ContentBuilder builder(source);
  if (auto ok = builder.read_unsubscribe(source.unsubscribe, "unsubscribe"); !ok) {
    return std::unexpected(ok.error());
  }
  if (auto ok = write_headers(source, builder); !ok) return std::unexpected(ok.error());
  if (auto ok = BodyWriter(source, builder).write(); !ok) return std::unexpected(ok.error());
  bool given = !source.return_path.empty();
  std::string_view return_path =
      given ? std::string_view(source.return_path) : ContentBuilder::first_address(source.from);
  if (auto ok = builder.return_path(return_path, given ? "return_path" : "from"); !ok) {
    return std::unexpected(ok.error());
  }
  return builder.finish();
}

}  // namespace

Result<std::string> compile_content(const ContentSource& source) {
  if (source.raw.empty()) return compile_parts(source);
  bool mixed = !source.subject.empty() || !source.from.empty() || !source.reply_to.empty() ||
               !source.to.empty() || !source.headers.empty() || !source.text.empty() ||
               !source.html.empty() || !source.attachments.empty();
  if (mixed) return fail("raw: a whole message stands alone, without subject, from, text or html");
  return compile_raw(source);
}

}  // namespace postring::mail
