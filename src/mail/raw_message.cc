#include "mail/raw_message.h"

#include <fmt/format.h>

#include <algorithm>

#include "mail/encode.h"
#include "mail/lines.h"
#include "mail/mime.h"
#include "mail/utf8.h"

namespace postring::mail {
namespace {

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::any_of(names.begin(), names.end(),
                     [&](std::string_view one) { return equals_folded(name, one); });
}

class RawCompiler {
 public:
  RawCompiler(const ContentSource& source, std::string_view message)
      : source_(source), message_(message), builder_(source) {}

  Result<std::string> compile() {
    if (auto ok = check(); !ok) return std::unexpected(ok.error());
    if (source_.merge) {
      if (auto ok = with_fields(); !ok) return std::unexpected(ok.error());
      if (builder_.has_fields()) return finish();
    }
    builder_.clear();
    if (auto ok = added_headers(); !ok) return std::unexpected(ok.error());
    builder_.literal(builder_.head(), top_.header_block);
    builder_.literal(builder_.body(), top_.body);
    return finish();
  }

 private:
  std::unexpected<Error> fail_line(std::string_view at, std::string_view what) const {
    auto before = message_.substr(0, static_cast<size_t>(at.data() - message_.data()));
    auto line = std::count(before.begin(), before.end(), '\n') + 1;
    return fail(fmt::format("raw, line {}: {}", line, what));
  }

  Result<void> check() {
    size_t nul = message_.find('\0');
    if (nul != std::string_view::npos) return fail_line(message_.substr(nul), "a NUL byte");
    size_t long_line = find_long_line(message_);
    if (long_line != std::string_view::npos) {
      return fail_line(message_.substr(long_line),
                       fmt::format("longer than {} bytes, which SMTP does not carry", kLineMax));
    }
    auto entity = parse_entity(message_);
    if (!entity) return fail_line(entity.error().at, entity.error().what);
    top_ = std::move(*entity);
    size_t bad = find_bad_utf8(top_.header_block);
    if (bad != std::string_view::npos) {
      return fail_line(message_.substr(bad), "a header that is not UTF-8");
    }
    if (top_.find("from") == nullptr) return fail("raw: no From header");
    if (!top_.header_block.ends_with("\r\n\r\n") && top_.header_block != "\r\n") {
      return fail("raw: no empty line after the header");
    }
    if (top_.find("list-unsubscribe") != nullptr && !unsubscribe_given()) own_unsubscribe_ = true;
    if (top_.find("list-unsubscribe") != nullptr && unsubscribe_given()) {
      return fail("raw: has a List-Unsubscribe header and 'unsubscribe' is given too");
    }
    return {};
  }

  bool unsubscribe_given() const {
    std::string_view text = trim_blanks(source_.unsubscribe);
    return !text.empty() && text != "none";
  }

  // Date, Message-ID and List-Unsubscribe, in front of the message, where it has none.
  Result<void> added_headers() {
    ContentBuilder& b = builder_;
    if (auto ok = b.read_unsubscribe(source_.unsubscribe, "unsubscribe"); !ok) return ok;
    for (auto [name, kind] :
         {std::pair("Date", StepKind::date), std::pair("Message-ID", StepKind::message_id)}) {
      if (top_.find(name) != nullptr) continue;
      b.literal(b.head(), fmt::format("{}: ", name));
      Step step;
      step.kind = kind;
      b.head().push_back(step);
      b.literal(b.head(), "\r\n");
    }
    return b.list_unsubscribe();
  }

  Result<void> with_fields() {
    // Known before the text parts are read: they may refer to it.
    const HeaderField* unsubscribe = top_.find("list-unsubscribe");
    bool templated = unsubscribe != nullptr && unsubscribe->value.contains("{{");
    if (auto ok = added_headers(); !ok) return ok;
    if (templated) {
      if (auto ok = builder_.read_unsubscribe(unsubscribe->value, "raw, List-Unsubscribe"); !ok) {
        return ok;
      }
    }
    Rewrite rewrite;
    if (auto ok = leaf_with_fields(top_, true, rewrite); !ok) return ok;
    for (const HeaderField& field : top_.headers) {
      if (auto ok = top_header(field, rewrite, templated ? unsubscribe : nullptr); !ok) return ok;
    }
    if (rewrite.active) put_rewritten_headers(builder_.head(), rewrite);
    builder_.literal(builder_.head(), "\r\n");
    if (rewrite.active) {
      builder_.append(builder_.body(), rewrite.program);
      return {};
    }
    if (auto ok = body_of(top_, 0); !ok) return ok;
    builder_.end_line();
    return {};
  }

  // A leaf whose text holds fields: its new header fields and body.
  struct Rewrite {
    bool active = false;
    std::string content_type;
    std::string_view transfer_encoding;
    Program program;
  };

  Result<void> leaf_with_fields(const Entity& entity, bool top, Rewrite& rewrite) {
    const HeaderField* type_field = entity.find("content-type");
    ContentType type = parse_content_type(type_field ? type_field->value : std::string_view{});
    bool html = type.type == "text/html";
    if (!html && type.type != "text/plain") return {};
    const HeaderField* cte = entity.find("content-transfer-encoding");
    auto text = decode_body(entity.body, cte ? cte->value : std::string_view{});
    if (!text || !text->contains("{{")) return {};
    std::string charset = to_lower(type.parameter("charset"));
    if (!charset.empty() && charset != "utf-8" && charset != "us-ascii") {
      return fail_line(entity.body,
                       fmt::format("a part with fields must be UTF-8, not {}", charset));
    }
    std::string where = fmt::format("raw, {} part", type.type);
    auto part = builder_.text_part(*text, html, top, where);
    if (!part) return std::unexpected(part.error());
    rewrite.active = true;
    rewrite.content_type = type.type + "; charset=utf-8";
    for (const auto& [name, value] : type.parameters) {
      if (name != "charset") rewrite.content_type += fmt::format("; {}=\"{}\"", name, value);
    }
    rewrite.transfer_encoding = part->transfer_encoding;
    rewrite.program = std::move(part->program);
    return {};
  }

  void put_rewritten_headers(Program& program, const Rewrite& rewrite) {
    builder_.literal(program, fmt::format("Content-Type: {}\r\nContent-Transfer-Encoding: {}\r\n",
                                          rewrite.content_type, rewrite.transfer_encoding));
  }

  static bool is_rewritten(const HeaderField& field) {
    return is_one_of(field.name, {"content-type", "content-transfer-encoding"});
  }

  Result<void> top_header(const HeaderField& field, const Rewrite& rewrite,
                          const HeaderField* unsubscribe) {
    if (&field == unsubscribe) return builder_.list_unsubscribe();
    // Written by list_unsubscribe() with the header it belongs to.
    bool post = equals_folded(field.name, "list-unsubscribe-post");
    if (rewrite.active && is_rewritten(field)) return {};
    if (post && unsubscribe != nullptr) return {};
    std::string decoded = decode_header_text(field.value);
    if (!decoded.contains("{{")) {
      builder_.literal(builder_.head(), field.whole);
      return {};
    }
    std::string where = fmt::format("raw, {}", field.name);
    if (is_one_of(field.name, {"from", "to", "cc", "reply-to", "sender"})) {
      return builder_.mailboxes(field.name, unfold(field.value), where, true);
    }
    bool fixed = is_one_of(field.name, {"date", "message-id", "mime-version", "dkim-signature",
                                        "received", "return-path", "bcc"});
    if (fixed || to_lower(field.name).starts_with("content-")) {
      return fail(where + ": no field can stand in this header");
    }
    return builder_.unstructured(field.name, decoded, where);
  }

  static std::string unfold(std::string_view value) {
    std::string out;
    for (char c : value) {
      if (c != '\r' && c != '\n') out += c;
    }
    return out;
  }

  // What follows the header of an entity.
  Result<void> body_of(const Entity& entity, size_t depth) {
    Program& body = builder_.body();
    const HeaderField* field = entity.find("content-type");
    ContentType type = parse_content_type(field ? field->value : std::string_view{});
    std::string_view boundary = type.parameter("boundary");
    bool multipart = type.type.starts_with("multipart/") && !boundary.empty();
    if (!multipart) {
      builder_.literal(body, entity.body);
      return {};
    }
    if (depth == kMimeDepthMax) return fail_line(entity.body, "multiparts nested too deep");
    bool had_fields = builder_.has_fields();
    for (const MultipartPiece& piece : split_multipart(entity.body, boundary)) {
      if (!piece.is_part) {
        builder_.literal(body, piece.text);
      } else if (auto ok = part(piece.text, depth + 1); !ok) {
        return ok;
      }
    }
    if (type.type == "multipart/signed" && builder_.has_fields() != had_fields) {
      return fail_line(entity.body, "a field inside multipart/signed would break its signature");
    }
    return {};
  }

  Result<void> part(std::string_view text, size_t depth) {
    auto entity = parse_entity(text);
    if (!entity) return fail_line(entity.error().at, entity.error().what);
    for (const HeaderField& field : entity->headers) {
      if (decode_header_text(field.value).contains("{{")) {
        return fail_line(field.whole, "no field can stand in the header of a part");
      }
    }
    Rewrite rewrite;
    if (auto ok = leaf_with_fields(*entity, false, rewrite); !ok) return ok;
    Program& body = builder_.body();
    if (!rewrite.active) {
      builder_.literal(body, entity->header_block);
      return body_of(*entity, depth);
    }
    for (const HeaderField& field : entity->headers) {
      if (!is_rewritten(field)) builder_.literal(body, field.whole);
    }
    put_rewritten_headers(body, rewrite);
    builder_.literal(body, "\r\n");
    builder_.append(body, rewrite.program);
    return {};
  }

  Result<std::string> finish() {
    std::string from = unfold(top_.find("from")->value);
    std::string_view return_path = source_.return_path;
    std::string where = return_path.empty() ? "raw, From" : "return_path";
    if (return_path.empty()) return_path = ContentBuilder::first_address(from);
    if (auto ok = builder_.return_path(return_path, where); !ok) return std::unexpected(ok.error());
    if (own_unsubscribe_) builder_.note_unsubscribe();
    return builder_.finish();
  }

  const ContentSource& source_;
  std::string_view message_;
  ContentBuilder builder_;
  Entity top_;
  bool own_unsubscribe_ = false;
};

}  // namespace

Result<std::string> compile_raw(const ContentSource& source) {
  if (source.raw.size() > kContentMax) {
    return fail(fmt::format("raw: longer than {} bytes", kContentMax));
  }
  std::string message = normalise_lines(source.raw);
  return RawCompiler(source, message).compile();
}

}  // namespace postring::mail
