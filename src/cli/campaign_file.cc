#include "cli/campaign_file.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <cstring>
#include <filesystem>
#include <sstream>

#include "base/base64.h"
#include "base/json_writer.h"
#include "io/file.h"

namespace postring::cli {

namespace {

class Translation {
 public:
  explicit Translation(const std::string& path)
      : path_(path), folder_(std::filesystem::path(path).parent_path()) {}

  Result<std::string> run(const toml::table& table) {
    write_table(table, "");
    if (!error_.empty()) return fail(error_);
    return json_.take();
  }

 private:
  void wrong(const toml::node& node, const std::string& what) {
    if (error_.empty()) error_ = fmt::format("{}:{}: {}", path_, node.source().begin.line, what);
  }

  std::string read(const toml::node& node) {
    const auto* name = node.as_string();
    if (name == nullptr) {
      wrong(node, "expected the name of a file, in quotes");
      return {};
    }
    std::string file = (folder_ / name->get()).string();
    auto text = read_whole_file(file, kContentFileBytesMax);
    if (text) return std::move(*text);
    wrong(node, fmt::format("{}: {}", file, std::strerror(text.error())));
    return {};
  }

  // `where` is the path of the table, without numbers.
  void write_table(const toml::table& table, const std::string& where) {
    json_.object();
    for (const auto& [key, node] : table) {
      std::string name(key.str());
      bool part = where == "content" &&
                  (name == "text_file" || name == "html_file" || name == "message_file");
      if (part) {
        std::string plain = name.substr(0, name.find('_'));
        if (table.contains(plain))
          wrong(node, fmt::format("there is '{}' too; one of the two", plain));
        json_.field(plain, read(node));
      } else if (where == "content.attachments" && name == "file") {
        json_.field("content", base64(read(node)));
        if (!table.contains("filename") && node.is_string()) {
          json_.field("filename",
                      std::filesystem::path(node.as_string()->get()).filename().string());
        }
      } else {
        json_.key(name);
        write(node, where.empty() ? name : where + "." + name);
      }
    }
    json_.end();
  }

  template <typename T>
  void write_text(const toml::value<T>& value) {
    std::ostringstream out;
    out << value.get();
    json_.value(out.str());
  }

  void write(const toml::node& node, const std::string& where) {
    if (const auto* table = node.as_table()) return write_table(*table, where);
    if (const auto* text = node.as_string()) return void(json_.value(text->get()));
    if (const auto* number = node.as_integer()) return void(json_.value(number->get()));
    if (const auto* truth = node.as_boolean()) return void(json_.value(truth->get()));
    if (const auto* number = node.as_floating_point()) return write_text(*number);
    if (const auto* date = node.as_date_time()) return write_text(*date);
    if (const toml::array* array = node.as_array()) {
      json_.array();
      for (const toml::node& entry : *array) write(entry, where);
      json_.end();
      return;
    }
    wrong(node, "a date or time alone; expected both, with an offset");
    json_.null();
  }

  const std::string& path_;
  std::filesystem::path folder_;
  JsonWriter json_;
  std::string error_;
};

}  // namespace

Result<std::string> read_campaign_file(const std::string& path) {
  auto text = read_whole_file(path, kContentFileBytesMax);
  if (!text) return fail(fmt::format("{}: {}", path, std::strerror(text.error())));
  try {
    return Translation(path).run(toml::parse(*text, path));
  } catch (const toml::parse_error& error) {
    return fail(fmt::format("{}:{}: {}", path, error.source().begin.line, error.description()));
  }
}

}  // namespace postring::cli
