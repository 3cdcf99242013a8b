#include "engine/config_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/check.h"
#include "base/time_text.h"
#include "engine/config_keys.h"

namespace postring::engine {

namespace {

constexpr std::array<std::pair<std::string_view, unsigned>, 4> kSizeUnits = {
    {{"TiB", 40}, {"GiB", 30}, {"MiB", 20}, {"KiB", 10}}};

unsigned line_of(const toml::node& node) {
  return node.source().begin.line;
}

std::string_view type_name(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "a list";
    case toml::node_type::string:
      return "a text";
    case toml::node_type::integer:
      return "a number";
    case toml::node_type::floating_point:
      return "a number with a fraction";
    case toml::node_type::boolean:
      return "true or false";
    default:
      return "a date or time";
  }
}

}  // namespace

Result<uint64_t> parse_size(std::string_view text) {
  std::string_view digits = text;
  unsigned shift = 0;
  for (auto [unit, bits] : kSizeUnits) {
    if (!text.ends_with(unit)) continue;
    digits.remove_suffix(unit.size());
    shift = bits;
  }
  uint64_t count = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), count);
  bool whole = error == std::errc{} && end == digits.data() + digits.size() && !digits.empty();
  if (!whole || count > UINT64_MAX >> shift) {
    return fail(fmt::format(
        "'{}' is no size: expected a number of bytes, or one with KiB, MiB, GiB or TiB", text));
  }
  return count << shift;
}

std::string size_text(uint64_t bytes) {
  for (auto [unit, bits] : kSizeUnits) {
    if (bytes == 0 || bytes % (uint64_t{1} << bits) != 0) continue;
    return fmt::format("{}{}", bytes >> bits, unit);
  }
  return fmt::format("{}", bytes);
}

void ConfigMistakes::add(unsigned line, std::string key, std::string message) {
  mistakes_.push_back({file_, line, std::move(key), std::move(message)});
}

std::vector<ConfigMistake> ConfigMistakes::take_sorted() {
  std::ranges::stable_sort(mistakes_, {}, &ConfigMistake::line);
  return std::move(mistakes_);
}

std::string ConfigReader::key(std::string_view name) const {
  return path_.empty() ? std::string(name) : fmt::format("{}.{}", path_, name);
}

const toml::node* ConfigReader::find(std::string_view name) {
  CHECK(find_key(section_, name) != nullptr || (section_.empty() && find_section(name) != nullptr),
        "a key that is not documented");
  asked_.emplace_back(name);
  return table_.get(name);
}

bool ConfigReader::wrong(std::string_view name, std::string message) {
  const toml::node* node = table_.get(name);
  mistakes_.add(node == nullptr ? line_of(table_) : line_of(*node), key(name), std::move(message));
  return false;
}

bool ConfigReader::require(std::string_view name) {
  if (has(name)) return true;
  const ConfigKey* known = find_key(section_, name);
  CHECK(known != nullptr);
  return wrong(name, fmt::format("is missing; it takes {}", known->takes));
}

bool ConfigReader::text(std::string_view name, std::string& to) {
  const toml::node* node = find(name);
  if (node == nullptr) return false;
  const auto* value = node->as_string();
  if (value == nullptr) {
    return wrong(name, fmt::format("is {}; expected {}, as a text in quotes", type_name(*node),
                                   find_key(section_, name)->takes));
  }
  if (value->get().find('\0') != std::string::npos) return wrong(name, "holds a NUL byte");
  to = value->get();
  return true;
}

bool ConfigReader::boolean(std::string_view name, bool& to) {
  const toml::node* node = find(name);
  if (node == nullptr) return false;
  const auto* value = node->as_boolean();
  if (value == nullptr) {
    return wrong(name,
                 fmt::format("is {}; expected true or false, without quotes", type_name(*node)));
  }
  to = value->get();
  return true;
}

bool ConfigReader::integer(std::string_view name, int64_t min, int64_t max, int64_t& to) {
  const toml::node* node = find(name);
  if (node == nullptr) return false;
  const auto* value = node->as_integer();
  if (value == nullptr) {
    return wrong(
        name, fmt::format("is {}; expected a whole number, {} to {}", type_name(*node), min, max));
  }
  if (value->get() < min || value->get() > max)
    return wrong(name, fmt::format("{} is outside of {} to {}", value->get(), min, max));
  to = value->get();
  return true;
}

bool ConfigReader::duration(std::string_view name, Duration min, Duration max, Duration& to) {
  std::string word;
  if (!text(name, word)) return false;
  auto value = parse_duration(word);
  if (!value) return wrong(name, value.error().message);
  if (*value < min || *value > max) {
    return wrong(name, fmt::format("'{}' is outside of {} to {}", word,
                                   min.us == 0 ? "0s" : duration_text(min), duration_text(max)));
  }
  to = *value;
  return true;
}

bool ConfigReader::durations(std::string_view name, size_t count_max, std::vector<Duration>& to) {
  std::vector<Duration> values;
  auto take = [&](const std::string& word) -> std::string {
    auto value = parse_duration(word);
    if (!value) return value.error().message;
    if (value->us <= 0) return "a wait must be longer than zero";
    values.push_back(*value);
    return {};
  };
  if (!texts(name, count_max, take)) return false;
  if (values.empty()) return wrong(name, "is empty; expected at least one duration");
  to = std::move(values);
  return true;
}

bool ConfigReader::size(std::string_view name, uint64_t min, uint64_t max, uint64_t& to) {
  const toml::node* node = find(name);
  if (node == nullptr) return false;
  uint64_t bytes = 0;
  if (const auto* number = node->as_integer(); number != nullptr && number->get() >= 0) {
    bytes = static_cast<uint64_t>(number->get());
  } else if (const auto* word = node->as_string()) {
    auto value = parse_size(word->get());
    if (!value) return wrong(name, value.error().message);
    bytes = *value;
  } else {
    return wrong(name, fmt::format("is {}; expected a size such as \"64MiB\"", type_name(*node)));
  }
  if (bytes < min || bytes > max) {
    return wrong(name, fmt::format("{} is outside of {} to {}", size_text(bytes), size_text(min),
                                   size_text(max)));
  }
  to = bytes;
  return true;
}

bool ConfigReader::texts(std::string_view name, size_t count_max, const TakeText& take) {
  const toml::node* node = find(name);
  if (node == nullptr) return false;
  const toml::array* list = node->as_array();
  if (list == nullptr) {
    return wrong(name, fmt::format("is {}; expected {}, in [ ]", type_name(*node),
                                   find_key(section_, name)->takes));
  }
  if (list->size() > count_max)
    return wrong(name, fmt::format("has {} entries; at most {}", list->size(), count_max));
  bool good = true;
  for (size_t i = 0; i < list->size(); ++i) {
    const toml::node& entry = *list->get(i);
    const auto* value = entry.as_string();
    std::string fault = value == nullptr
                            ? fmt::format("is {}; expected a text in quotes", type_name(entry))
                            : take(value->get());
    if (fault.empty()) continue;
    mistakes_.add(line_of(entry), fmt::format("{}[{}]", key(name), i + 1), std::move(fault));
    good = false;
  }
  return good;
}

const toml::table* ConfigReader::table(std::string_view name) {
  const toml::node* node = find(name);
  if (node == nullptr) return nullptr;
  if (const toml::table* found = node->as_table()) return found;
  if (node->is_array_of_tables()) {
    wrong(name, fmt::format("is given more than once; there is one [{}]", name));
  } else {
    wrong(name, fmt::format("is {}; expected a table: [{}]", type_name(*node), name));
  }
  return nullptr;
}

std::vector<const toml::table*> ConfigReader::tables(std::string_view name, size_t count_max) {
  std::vector<const toml::table*> found;
  const toml::node* node = find(name);
  if (node == nullptr) return found;
  const toml::array* list = node->as_array();
  if (list == nullptr) {
    wrong(name, node->is_table()
                    ? fmt::format("there can be several: write [[{}]] instead of [{}]", name, name)
                    : fmt::format("is {}; expected tables: [[{}]]", type_name(*node), name));
    return found;
  }
  if (list->size() > count_max) {
    wrong(name, fmt::format("there are {}; at most {}", list->size(), count_max));
    return found;
  }
  for (const toml::node& entry : *list) {
    if (const toml::table* one = entry.as_table()) {
      found.push_back(one);
    } else {
      wrong(name, fmt::format("holds {}; expected tables: [[{}]]", type_name(entry), name));
    }
  }
  return found;
}

void ConfigReader::finish() {
  for (const auto& [name, node] : table_) {
    std::string_view word = name.str();
    if (std::ranges::find(asked_, word) != asked_.end()) continue;
    std::string suggestion = suggest_key(section_, word);
    mistakes_.add(name.source().begin.line, key(word),
                  suggestion.empty() ? "unknown key" : fmt::format("unknown key; {}", suggestion));
  }
}

}  // namespace postring::engine
