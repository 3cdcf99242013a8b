// ConfigReader: one table of the configuration, read key by key.
//
//   ConfigReader spool(table, "spool", "spool", mistakes);
//   spool.text("dir", config.dir);
//   spool.duration("outcome_sync", config.outcome_sync, kMin, kMax);
//   spool.finish();                        // what was not asked for is unknown
//
// A getter leaves its target alone where the key is absent or wrong, says true where it set it, and
// writes a mistake where it is wrong. Every name asked for must be one of engine/config_keys.h.
#pragma once

#include <toml++/toml.h>

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/units.h"
#include "engine/config.h"

namespace postring::engine {

// Gathers mistakes about one file.
class ConfigMistakes {
 public:
  explicit ConfigMistakes(std::string file) : file_(std::move(file)) {}

  void add(unsigned line, std::string key, std::string message);
  bool empty() const { return mistakes_.empty(); }
  std::vector<ConfigMistake> take_sorted();

 private:
  std::string file_;
  std::vector<ConfigMistake> mistakes_;
};

class ConfigReader {
 public:
  // `section` as in config_keys(); `path` as people write it ("source[1]").
  ConfigReader(const toml::table& table, std::string_view section, std::string path,
               ConfigMistakes& mistakes)
      : table_(table), section_(section), path_(std::move(path)), mistakes_(mistakes) {}

  bool has(std::string_view name) const { return table_.contains(name); }

  bool text(std::string_view name, std::string& to);
  bool boolean(std::string_view name, bool& to);
  // With min and max included.
  bool integer(std::string_view name, int64_t min, int64_t max, int64_t& to);
  template <typename T>
  bool integer(std::string_view name, int64_t min, int64_t max, T& to) {
    int64_t value = 0;
    if (!integer(name, min, max, value)) return false;
    to = static_cast<T>(value);
    return true;
  }
  bool duration(std::string_view name, Duration min, Duration max, Duration& to);
  bool durations(std::string_view name, size_t count_max, std::vector<Duration>& to);
  // Bytes: a number, or "64MiB".
  bool size(std::string_view name, uint64_t min, uint64_t max, uint64_t& to);
  // One of the names; `to` is its value.
  template <typename T, size_t N>
  bool choice(std::string_view name, const std::array<std::pair<std::string_view, T>, N>& of,
              T& to) {
    std::string word;
    if (!text(name, word)) return false;
    std::string allowed;
    for (const auto& [known, value] : of) {
      if (known == word) {
        to = value;
        return true;
      }
      allowed += (allowed.empty() ? "'" : ", '") + std::string(known) + "'";
    }
    return wrong(name, "'" + word + "' is none of " + allowed);
  }
  // Calls `take(text)` for each; it gives what is wrong with it, or nothing.
  using TakeText = std::function<std::string(const std::string& text)>;
  bool texts(std::string_view name, size_t count_max, const TakeText& take);

  // The table, or every table of [[name]], where there is one.
  const toml::table* table(std::string_view name);
  std::vector<const toml::table*> tables(std::string_view name, size_t count_max);

  // Writes a mistake about the key, or about the table where the key is absent; gives false.
  bool wrong(std::string_view name, std::string message);
  bool require(std::string_view name);

  // Writes a mistake for every key that nobody asked for.
  void finish();

  std::string key(std::string_view name) const;

 private:
  const toml::node* find(std::string_view name);

  const toml::table& table_;
  std::string_view section_;
  std::string path_;
  ConfigMistakes& mistakes_;
  std::vector<std::string> asked_;
};

// "64MiB", "10GiB", "1024": bytes.
Result<uint64_t> parse_size(std::string_view text);
std::string size_text(uint64_t bytes);

}  // namespace postring::engine
