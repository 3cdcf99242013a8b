// A message as GMime reads it: the judge of what we write, for it shares no code with us.
#pragma once

#include <gmime/gmime.h>

#include <string>
#include <string_view>
#include <vector>

namespace postring::mail {

struct ReadPart {
  std::string type;  // "text/plain"
  std::string filename;
  std::string content_id;
  std::string bytes;  // decoded
};

struct ReadMessage {
  bool parsed = false;
  std::string subject;
  std::string from_name;
  std::string from_address;
  std::string message_id;
  std::string date;
  std::vector<std::string> types;  // of every entity, in order
  std::vector<ReadPart> parts;     // the leaves

  const ReadPart* find(std::string_view type) const {
    for (const ReadPart& part : parts) {
      if (part.type == type) return &part;
    }
    return nullptr;
  }
};

inline std::string text_or_empty(const char* text) {
  return text == nullptr ? "" : text;
}

inline void read_part(GMimeObject*, GMimeObject* object, gpointer to) {
  auto& message = *static_cast<ReadMessage*>(to);
  GMimeContentType* type = g_mime_object_get_content_type(object);
  char* type_text = g_mime_content_type_get_mime_type(type);
  message.types.push_back(text_or_empty(type_text));
  if (GMIME_IS_PART(object)) {
    ReadPart part;
    part.type = message.types.back();
    part.filename = text_or_empty(g_mime_part_get_filename(GMIME_PART(object)));
    part.content_id = text_or_empty(g_mime_object_get_content_id(object));
    GMimeStream* stream = g_mime_stream_mem_new();
    if (GMimeDataWrapper* content = g_mime_part_get_content(GMIME_PART(object))) {
      g_mime_data_wrapper_write_to_stream(content, stream);
    }
    GByteArray* bytes = g_mime_stream_mem_get_byte_array(GMIME_STREAM_MEM(stream));
    part.bytes.assign(reinterpret_cast<const char*>(bytes->data), bytes->len);
    g_object_unref(stream);
    message.parts.push_back(part);
  }
  g_free(type_text);
}

inline ReadMessage read_message(std::string_view text) {
  static const bool kReady = (g_mime_init(), true);
  (void)kReady;
  ReadMessage message;
  GMimeStream* stream = g_mime_stream_mem_new_with_buffer(text.data(), text.size());
  GMimeParser* parser = g_mime_parser_new_with_stream(stream);
  g_object_unref(stream);
  GMimeMessage* parsed = g_mime_parser_construct_message(parser, nullptr);
  g_object_unref(parser);
  if (parsed == nullptr) return message;
  message.parsed = true;
  message.subject = text_or_empty(g_mime_message_get_subject(parsed));
  message.message_id = text_or_empty(g_mime_message_get_message_id(parsed));
  if (GDateTime* date = g_mime_message_get_date(parsed)) {
    char* date_text = g_date_time_format(date, "%s");
    message.date = text_or_empty(date_text);
    g_free(date_text);
  }
  InternetAddressList* from = g_mime_message_get_from(parsed);
  if (from != nullptr && internet_address_list_length(from) > 0) {
    InternetAddress* first = internet_address_list_get_address(from, 0);
    message.from_name = text_or_empty(internet_address_get_name(first));
    if (INTERNET_ADDRESS_IS_MAILBOX(first)) {
      message.from_address =
          text_or_empty(internet_address_mailbox_get_addr(INTERNET_ADDRESS_MAILBOX(first)));
    }
  }
  GMimeObject* root = g_mime_message_get_mime_part(parsed);
  if (root != nullptr) {
    if (GMIME_IS_MULTIPART(root)) {
      read_part(nullptr, root, &message);
      g_mime_multipart_foreach(GMIME_MULTIPART(root), read_part, &message);
    } else {
      read_part(nullptr, root, &message);
    }
  }
  g_object_unref(parsed);
  return message;
}

}  // namespace postring::mail
