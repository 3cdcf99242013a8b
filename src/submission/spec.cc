#include "submission/spec.h"

#include <algorithm>

#include "base/base64.h"
#include "base/time_text.h"
#include "mail/address.h"
#include "mail/class_text.h"
#include "mail/content_source.h"
#include "mail/values.h"
#include "submission/json_body.h"

namespace postring::submission {
namespace {

// What a campaign and a message have in common.
struct Sending {
  std::string content;  // compiled
  std::string content_name;
  MailClass mail_class = MailClass::bulk;
  std::vector<std::string> sources;
  std::vector<Duration> retry;
  Duration max_age;
  bool says_unsubscribe = false;
};

MailClass read_class(JsonObject& object, MailClass standard) {
  std::string text = object.text("class", 32);
  if (text.empty()) return standard;
  if (auto known = parse_class(text)) return *known;
  object.fail("class", "must be transactional, standard or bulk");
  return standard;
}

void read_attachments(JsonObject& object, mail::ContentSource& source) {
  size_t bytes = 0;
  object.each("attachments", mail::kAttachmentsMax, [&](JsonValue& value) {
    value.object([&](JsonObject& entry) {
      mail::SourceAttachment attachment;
      attachment.filename = entry.text("filename", 255);
      attachment.content_type = entry.text("content_type", 255);
      attachment.content_id = entry.text("content_id", 255);
      auto decoded = base64_decode(entry.text("content", kMessageBodyMax));
      if (!entry.has("content")) {
        entry.fail("content", "is missing");
      } else if (!decoded) {
        entry.fail("content", "is not base64");
      } else {
        attachment.bytes = std::move(*decoded);
        bytes += attachment.bytes.size();
      }
      if (bytes > kAttachmentBytesMax) {
        entry.fail("content", "makes the attachments more than " +
                                  std::to_string(kAttachmentBytesMax) + " bytes together");
      }
      source.attachments.push_back(std::move(attachment));
    });
  });
}

void read_parts(JsonObject& object, mail::ContentSource& source) {
  source.raw = object.text("message", mail::kPartMax);
  if (object.has("message_base64")) {
    auto decoded = base64_decode(object.text("message_base64", kMessageBodyMax));
    if (!decoded) {
      object.fail("message_base64", "is not base64");
    } else if (!source.raw.empty()) {
      object.fail("message_base64", "and message are two ways to say the same");
    } else {
      source.raw = std::move(*decoded);
    }
  }
  source.merge = object.boolean("merge").value_or(true);
  constexpr std::string_view kParts[] = {"subject", "from", "reply_to", "to",
                                         "headers", "text", "html",     "attachments"};
  for (std::string_view part : kParts) {
    if (!source.raw.empty() && object.has(part)) {
      object.fail(part, "cannot stand beside a whole message");
    }
  }
  source.subject = object.text("subject", mail::kHeaderTemplateMax);
  source.from = object.text("from", mail::kHeaderTemplateMax);
  source.reply_to = object.text("reply_to", mail::kHeaderTemplateMax);
  source.to = object.text("to", mail::kHeaderTemplateMax);
  source.text = object.text("text", mail::kPartMax);
  source.html = object.text("html", mail::kPartMax);
  object.members("headers", mail::kHeadersMax, [&](std::string_view name, JsonValue& value) {
    source.headers.push_back({std::string(name), value.text(mail::kHeaderTemplateMax)});
  });
  read_attachments(object, source);
}

void read_envelope(JsonObject& root, mail::ContentSource& source) {
  source.unsubscribe = root.text("unsubscribe", 2 * mail::kHeaderTemplateMax);
  source.return_path = root.text("return_path", mail::kHeaderTemplateMax);
  root.members("defaults", mail::kFieldsMax, [&](std::string_view name, JsonValue& value) {
    auto text = value.scalar(mail::kDefaultMax);
    if (text) source.defaults.push_back({std::string(name), std::move(*text)});
  });
  std::string missing = root.text("missing_field", 32);
  if (missing == "reject") {
    source.missing_field = mail::MissingField::reject;
  } else if (!missing.empty() && missing != "default") {
    root.fail("missing_field", "must be default or reject");
  }
}

// The content of its own that a campaign or message brings, compiled.
void read_content(JsonObject& root, Sending& sending) {
  mail::ContentSource source;
  bool there = root.object("content", [&](JsonObject& object) { read_parts(object, source); });
  read_envelope(root, source);
  sending.says_unsubscribe = !source.unsubscribe.empty();
  if (!there) root.fail("content", "is missing");
  if (root.failed()) return;
  auto compiled = mail::compile_content(source);
  if (compiled) {
    sending.content = std::move(*compiled);
  } else {
    root.fail("content", "does not compile: " + compiled.error().message);
  }
}

void read_sending(JsonObject& root, MailClass standard, Sending& sending) {
  sending.mail_class = read_class(root, standard);
  root.each("sources", kSourcesMax, [&](JsonValue& value) {
    sending.sources.push_back(value.text(kSourceNameMax));
    if (sending.sources.back().empty()) value.fail("is no name");
  });
  root.each("retry", kRetryStepsMax, [&](JsonValue& value) {
    std::string text = value.text(64);
    auto step = parse_duration(text);
    if (step && *step > Duration{} && *step <= kMaxAgeMax) {
      sending.retry.push_back(*step);
    } else {
      value.fail("must be a duration such as 5m or 1h, at most 30d");
    }
  });
  sending.max_age = root.duration("max_age");
  if (sending.max_age > kMaxAgeMax) root.fail("max_age", "is more than 30d");
}

bool is_content_name(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == text.npos;
}

MessageSpec::Data read_data(JsonObject& object) {
  MessageSpec::Data data;
  object.members("data", mail::kFieldsMax, [&](std::string_view name, JsonValue& value) {
    auto text = value.scalar(mail::kValueMax);
    if (text) data.emplace_back(name, std::move(*text));
  });
  return data;
}

// What a recipient says itself goes before what the message says for all.
void add_recipient(MessageSpec& spec, const std::string& address, JsonObject& object,
                   const MessageSpec::Data& common, std::string_view field) {
  NewMessage::To to;
  to.ref = object.text("ref", kRefMax);
  to.meta = object.text("meta", kMetaMax);
  auto canonical = mail::parse_address(address);
  if (canonical) {
    to.address = canonical->text();
  } else {
    object.fail(field, "is no address: " + canonical.error().message);
  }
  MessageSpec::Data data = read_data(object);
  for (const auto& pair : common) {
    bool given = false;
    for (const auto& own : data) given |= own.first == pair.first;
    if (!given) data.push_back(pair);
  }
  spec.message.to.push_back(std::move(to));
  spec.data.push_back(std::move(data));
}

void read_recipients(JsonObject& root, MessageSpec& spec) {
  MessageSpec::Data common = read_data(root);
  size_t texts = 0;
  root.each("to", kMessageRecipientsMax, [&](JsonValue& value) {
    if (value.is_object()) {
      value.object([&](JsonObject& entry) {
        std::string address = entry.required_text("address", 1'024);
        if (!entry.failed()) add_recipient(spec, address, entry, common, "address");
      });
      return;
    }
    ++texts;
    std::string address = value.text(1'024);
    if (!root.failed()) add_recipient(spec, address, root, common, "to");
  });
  if (spec.message.to.empty()) root.fail("to", "is missing");
  if (texts == 0 && (root.has("ref") || root.has("meta"))) {
    root.fail(root.has("ref") ? "ref" : "meta", "belongs into the entries of to");
  }
}

}  // namespace

Spec<NewCampaign> parse_campaign(std::string_view json, WallTime now) {
  auto body = JsonBody::parse(json);
  if (!body) return std::unexpected(body.error());
  JsonObject root = body->root();
  NewCampaign campaign;
  campaign.name = root.required_text("name", kNameMax);
  campaign.start_at = root.time("start_at");
  if (campaign.start_at.is_set() && campaign.start_at <= now) {
    root.fail("start_at", "is in the past; leave it out and start the campaign");
  }
  Sending sending;
  read_sending(root, MailClass::bulk, sending);
  read_content(root, sending);
  if (sending.mail_class == MailClass::bulk && !sending.says_unsubscribe) {
    root.fail("unsubscribe", "is missing: bulk mail needs a way out, or \"none\" in so many words");
  }
  root.finish();
  if (body->fault()) return std::unexpected(*body->fault());
  campaign.content = std::move(sending.content);
  campaign.mail_class = sending.mail_class;
  campaign.sources = std::move(sending.sources);
  campaign.retry = std::move(sending.retry);
  campaign.max_age = sending.max_age;
  return campaign;
}

Spec<MessageSpec> parse_message(std::string_view json, WallTime now) {
  auto body = JsonBody::parse(json);
  if (!body) return std::unexpected(body.error());
  JsonObject root = body->root();
  MessageSpec spec;
  NewMessage& message = spec.message;
  message.not_before = root.time("not_before");
  message.expires_at = root.time("expires_at");
  if (message.expires_at.is_set() && message.expires_at <= std::max(now, message.not_before)) {
    root.fail("expires_at", "is in the past, or before not_before");
  }
  Sending sending;
  read_sending(root, MailClass::transactional, sending);
  read_recipients(root, spec);
  message.content_name = root.text("stored_content", 64);
  if (!message.content_name.empty()) {
    if (!is_content_name(message.content_name)) {
      root.fail("stored_content", "must be the 64 hexadecimal digits of a campaign's content");
    }
  } else {
    read_content(root, sending);
  }
  root.finish();
  if (body->fault()) return std::unexpected(*body->fault());
  message.content = std::move(sending.content);
  message.mail_class = sending.mail_class;
  message.sources = std::move(sending.sources);
  message.retry = std::move(sending.retry);
  message.max_age = sending.max_age;
  return spec;
}

Spec<NewMessage> finish_message(MessageSpec spec, const mail::Content& content) {
  mail::ValuesBuilder builder(content);
  for (size_t i = 0; i < spec.data.size(); ++i) {
    builder.begin();
    for (const auto& [name, value] : spec.data[i]) builder.add(name, value);
    auto size = builder.finish(spec.message.to[i].values);
    if (!size) {
      return std::unexpected(FieldFault{"data." + std::string(size.error().field),
                                        std::string(mail::text_of(size.error().wrong))});
    }
  }
  return std::move(spec.message);
}

}  // namespace postring::submission
