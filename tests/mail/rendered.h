// What the tests of rendering share: a content with its bytes, one recipient rendered to a string.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mail/content.h"
#include "mail/content_source.h"
#include "mail/render.h"
#include "mail/values.h"

namespace postring::mail {

using Pairs = std::vector<std::pair<std::string, std::string>>;

struct Compiled {
  std::unique_ptr<std::string> bytes;
  Content content;
};

inline Compiled compile(const ContentSource& source) {
  auto bytes = compile_content(source);
  EXPECT_TRUE(bytes.has_value()) << (bytes ? "" : bytes.error().message);
  Compiled compiled{std::make_unique<std::string>(bytes ? *bytes : std::string()), {}};
  auto content = Content::load(*compiled.bytes);
  EXPECT_TRUE(content.has_value()) << (content ? "" : content.error().message);
  if (content) compiled.content = std::move(*content);
  return compiled;
}

inline std::string error_of(const ContentSource& source) {
  auto bytes = compile_content(source);
  return bytes ? "compiled" : bytes.error().message;
}

inline std::string encode(const Content& content, const Pairs& pairs) {
  ValuesBuilder builder(content);
  builder.begin();
  for (const auto& [name, value] : pairs) builder.add(name, value);
  std::string values;
  auto size = builder.finish(values);
  EXPECT_TRUE(size.has_value()) << (size ? "" : text_of(size.error().wrong));
  return values;
}

inline RenderInput input_for(std::string_view address, std::string_view values) {
  static const VerpKey kKey("a secret");
  RenderInput input;
  input.recipient = make_recipient_id(3, 0x1234);
  input.campaign = 7;
  input.address = address;
  input.accepted_at = WallTime::from_seconds(1'772'357'400);
  input.values = values;
  input.message_id_domain = "mail.example.com";
  input.verp_key = &kKey;
  return input;
}

inline std::string join(const Rendered& rendered) {
  std::string whole;
  for (const iovec& piece : rendered.pieces) {
    whole.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
  }
  EXPECT_EQ(whole.size(), rendered.size_bytes);
  return whole;
}

inline std::string rendered(const Content& content, const Pairs& pairs, Form form = Form::plain,
                            std::string_view address = "anna@example.org") {
  std::string values = encode(content, pairs);
  Scratch scratch;
  return join(render(content, input_for(address, values), form, scratch));
}

inline std::string header_of(const std::string& message) {
  return message.substr(0, message.find("\r\n\r\n") + 2);
}
inline std::string body_of(const std::string& message) {
  return message.substr(message.find("\r\n\r\n") + 4);
}

}  // namespace postring::mail
