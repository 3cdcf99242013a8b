// A whole RFC 5322 message as a content.
#pragma once

#include "base/result.h"
#include "mail/content_builder.h"
#include "mail/content_source.h"

namespace postring::mail {

// Compiles source.raw into the builder's programs, finish() left to the caller. Without a field in
// header or text parts the message stays as it is but for its line ends; with fields, the text
// parts that hold them become quoted-printable and all else stays.
Result<std::string> compile_raw(const ContentSource& source);

}  // namespace postring::mail
