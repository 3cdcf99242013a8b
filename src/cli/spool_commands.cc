#include "cli/spool_commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "base/json_writer.h"
#include "base/time_text.h"
#include "cli/shown.h"
#include "cli/table.h"
#include "io/file.h"
#include "io/socket.h"
#include "spool/records.h"
#include "spool/segment.h"
#include "spool/slice_reader.h"

namespace postring::cli {

namespace {

constexpr std::string_view kSlicePrefix = "slice-";
constexpr std::string_view kControlFolder = "control";
constexpr std::string_view kLockFile = "lock";

bool is_used(const std::string& dir) {
  auto file = open_file(dir + "/" + std::string(kLockFile), OpenMode::read_write);
  if (!file) return false;
  auto locked = lock_file(*file);
  close_descriptor(*file);
  return locked && !*locked;
}

Result<LogReport> read_log(const std::string& dir, const std::string& name) {
  LogReport report;
  report.name = name;
  auto listing = spool::list_slice(dir + "/" + name);
  if (!listing) return std::unexpected(listing.error());
  std::map<spool::RecordType, uint64_t> types;
  auto visit = [&](const spool::RecordView& record) {
    ++types[record.type];
    if (spool::is_decodable(record.type, record.payload)) return;
    report.damage.push_back({dir + "/" + name + "/" + spool::segment_name(record.position.segment),
                             record.position.offset, record.payload.size(),
                             fmt::format("the {} at byte {} says nothing that can be read",
                                         spool::name_of(record.type), record.position.offset)});
  };
  auto segments = spool::read_slice(*listing, report.damage, visit);
  if (!segments) return std::unexpected(segments.error());
  for (const spool::ReadSegment& segment : *segments) {
    report.records += segment.records;
    report.bytes += segment.end;
    report.torn_bytes += segment.torn_bytes;
  }
  for (const auto& [type, count] : types) report.by_type[spool::name_of(type)] = count;
  report.segments = listing->segments.size();
  report.spares = listing->spares.size();
  for (const auto& segment : listing->segments) {
    report.disk_bytes += segment.start.file_size;
    WallTime created = segment.start.header.created;
    if (!report.oldest.is_set() || created < report.oldest) report.oldest = created;
  }
  for (const auto& segment : listing->spares) report.disk_bytes += segment.start.file_size;
  return report;
}

void write_json(const SpoolReport& report) {
  JsonWriter json;
  bool good = std::ranges::all_of(report.logs, [](const auto& log) { return log.damage.empty(); });
  json.object().field("dir", report.dir).field("in_use", report.in_use).field("good", good);
  json.key("logs").array();
  for (const LogReport& log : report.logs) {
    json.object().field("name", log.name).field("segments", log.segments);
    json.field("spares", log.spares).field("records", log.records).field("bytes", log.bytes);
    json.field("disk_bytes", log.disk_bytes).field("torn_bytes", log.torn_bytes);
    if (log.oldest.is_set()) json.field("oldest", rfc3339(log.oldest));
    json.key("by_type").object();
    for (const auto& [type, count] : log.by_type) json.field(type, count);
    json.end().key("damage").array();
    for (const spool::Damage& damage : log.damage) {
      json.object().field("file", damage.file).field("offset", damage.offset);
      json.field("bytes", damage.bytes).field("what", damage.what).end();
    }
    json.end().end();
  }
  fmt::print("{}\n", json.end().end().take());
}

// How many damages there are.
size_t say_damage(const SpoolReport& report) {
  size_t count = 0;
  for (const LogReport& log : report.logs) {
    for (const spool::Damage& damage : log.damage) {
      fmt::print("DAMAGED {}: {}\n", damage.file, damage.what);
      ++count;
    }
    if (log.torn_bytes > 0) {
      fmt::print(
          "{}: the last {} were being written when postring ended; nothing in them was "
          "acknowledged\n",
          log.name, bytes_text(log.torn_bytes));
    }
  }
  return count;
}

void say_use(const SpoolReport& report) {
  if (report.in_use) fmt::print("a daemon uses this spool: what it is writing may look torn\n");
}

}  // namespace

Result<SpoolReport> read_spool(const std::string& dir) {
  SpoolReport report;
  report.dir = dir;
  auto names = list_folder(dir);
  if (!names) return fail(fmt::format("{}: {}", dir, std::strerror(names.error())));
  report.in_use = is_used(dir);
  for (const std::string& name : *names) {
    if (!name.starts_with(kSlicePrefix) && name != kControlFolder) continue;
    auto log = read_log(dir, name);
    if (!log) return std::unexpected(log.error());
    report.logs.push_back(std::move(*log));
  }
  if (report.logs.empty()) return fail(fmt::format("{}: there is no spool in this folder", dir));
  return report;
}

int inspect_spool(const std::string& dir, bool json) {
  auto report = read_spool(dir);
  if (!report) return complain(report.error());
  if (json) {
    write_json(*report);
    return 0;
  }
  say_use(*report);
  Table table({"LOG", "#SEGMENTS", "#SPARE", "#RECORDS", "#USED", "#ON DISK", "OLDEST"});
  std::map<std::string, uint64_t> by_type;
  for (const LogReport& log : report->logs) {
    table.row({log.name, std::to_string(log.segments), std::to_string(log.spares),
               grouped(static_cast<int64_t>(log.records)), bytes_text(log.bytes),
               bytes_text(log.disk_bytes),
               log.oldest.is_set() ? short_time(rfc3339(log.oldest)) : ""});
    for (const auto& [type, count] : log.by_type) by_type[type] += count;
  }
  fmt::print("{}\n", table.text());
  Table types({"RECORD", "#COUNT"});
  for (const auto& [type, count] : by_type) types.row({type, grouped(static_cast<int64_t>(count))});
  fmt::print("{}", types.text());
  say_damage(*report);
  return 0;
}

int verify_spool(const std::string& dir, bool json) {
  auto report = read_spool(dir);
  if (!report) return complain(report.error());
  size_t damages = 0;
  for (const LogReport& log : report->logs) damages += log.damage.size();
  if (json) {
    write_json(*report);
    return damages == 0 ? 0 : 1;
  }
  say_use(*report);
  say_damage(*report);
  uint64_t records = 0, segments = 0;
  for (const LogReport& log : report->logs) {
    records += log.records;
    segments += log.segments;
  }
  fmt::print("{}: {} records in {} segments read, {}\n", dir,
             grouped(static_cast<int64_t>(records)), segments,
             damages == 0 ? "all good" : fmt::format("{} damaged places", damages));
  return damages == 0 ? 0 : 1;
}

}  // namespace postring::cli
