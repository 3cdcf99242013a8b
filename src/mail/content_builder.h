// ContentBuilder: the pieces compile_content puts a content together from. Each function compiles
// one kind of template into a program and says what is wrong with it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "mail/content.h"
#include "mail/content_source.h"
#include "mail/template.h"

namespace postring::mail {

using Program = std::vector<Step>;

class ContentBuilder {
 public:
  explicit ContentBuilder(const ContentSource& source) : source_(source) {}

  Program& head() { return parts_.head; }
  Program& body() { return parts_.body; }
  bool has_fields() const { return slots_ > 0; }
  // A message that brought its own List-Unsubscribe.
  void note_unsubscribe() { parts_.has_unsubscribe = true; }
  // Forgets what was compiled.
  void clear();

  // Bytes that are ready for the wire.
  void literal(Program& program, std::string_view bytes);

  // "Name: text CRLF" of unstructured text.
  Result<void> unstructured(std::string_view name, std::string_view text, std::string_view where);

  // "Name: mailbox, mailbox CRLF". `words` says that display names may hold encoded words.
  Result<void> mailboxes(std::string_view name, std::string_view text, std::string_view where,
                         bool words);

  // Ends the last line of the body, if that is open: a part without a delimiter after it.
  void end_line();

  // A text or HTML part in quoted-printable, or in base64 where that is shorter and no field asks
  // otherwise. Returns the Content-Transfer-Encoding; the bytes are in `text_program` to be put
  // after the part's header. A newline is put at its end where `ends_line` and there is none.
  struct TextPart {
    std::string_view transfer_encoding;
    Program program;
  };
  Result<TextPart> text_part(std::string_view text, bool html, bool ends_line,
                             std::string_view where);
  // Joins a program that was built on its own.
  void append(Program& program, const Program& more);

  // Reads source.unsubscribe (or a List-Unsubscribe header in its place); the header itself comes
  // with list_unsubscribe().
  Result<void> read_unsubscribe(std::string_view text, std::string_view where);
  Result<void> list_unsubscribe();

  Result<void> return_path(std::string_view text, std::string_view where);
  // The address of the first mailbox in a From template: the return path where none is given.
  static std::string_view first_address(std::string_view mailboxes);

  // Defaults, stuffed forms, flags; then the bytes.
  Result<std::string> finish();

 private:
  Result<void> value(Program& program, std::string_view name, Encoding encoding,
                     std::string_view where, size_t byte);
  Result<void> address(Program& program, std::string_view text, std::string_view where,
                       size_t byte);
  Result<void> mailbox(Program& program, std::string_view text, size_t column, bool words,
                       std::string_view where, size_t byte);
  Result<void> unsubscribe_url(Program& program, std::string& pending, bool html,
                               std::string_view where, size_t byte);
  Result<void> defaults();
  void stuff(Program& program);

  struct Uri {
    std::vector<TemplatePart> parts;
  };

  const ContentSource& source_;
  ContentParts parts_;
  std::map<std::string, uint16_t, std::less<>> numbers_;
  std::string unsubscribe_where_;
  Uri https_;
  Uri mailto_;
  size_t slots_ = 0;
};

}  // namespace postring::mail
