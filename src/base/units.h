// Time as values. Nothing here reads a clock: clocks are io/clock.h, handed down by the worker.
//
// Instant is monotonic time since an arbitrary start, WallTime is UTC since 1970; both count
// microseconds in 64 bits, so that arithmetic never meets a float. A Duration may be negative.
#pragma once

#include <compare>
#include <cstdint>

namespace postring {

struct Duration {
  int64_t us = 0;

  static constexpr Duration microseconds(int64_t n) { return {n}; }
  static constexpr Duration milliseconds(int64_t n) { return {n * 1'000}; }
  static constexpr Duration seconds(int64_t n) { return {n * 1'000'000}; }
  static constexpr Duration minutes(int64_t n) { return seconds(n * 60); }
  static constexpr Duration hours(int64_t n) { return seconds(n * 3'600); }
  static constexpr Duration days(int64_t n) { return seconds(n * 86'400); }

  constexpr int64_t whole_ms() const { return us / 1'000; }
  constexpr int64_t whole_seconds() const { return us / 1'000'000; }
  constexpr auto operator<=>(const Duration&) const = default;
  constexpr Duration operator+(Duration other) const { return {us + other.us}; }
  constexpr Duration operator-(Duration other) const { return {us - other.us}; }
  constexpr Duration operator*(int64_t n) const { return {us * n}; }
  constexpr Duration operator/(int64_t n) const { return {us / n}; }
};

struct Instant {
  int64_t us = 0;

  static constexpr Instant never() { return {INT64_MAX}; }
  constexpr auto operator<=>(const Instant&) const = default;
  constexpr Instant operator+(Duration d) const { return {us + d.us}; }
  constexpr Instant operator-(Duration d) const { return {us - d.us}; }
  constexpr Duration operator-(Instant other) const { return {us - other.us}; }
};

struct WallTime {
  int64_t us = 0;

  static constexpr WallTime from_seconds(int64_t n) { return {n * 1'000'000}; }
  static constexpr WallTime from_ms(int64_t n) { return {n * 1'000}; }
  // An absent time: sorts before every real one.
  constexpr bool is_set() const { return us != 0; }
  constexpr int64_t whole_seconds() const { return us / 1'000'000; }
  constexpr int64_t whole_ms() const { return us / 1'000; }
  constexpr auto operator<=>(const WallTime&) const = default;
  constexpr WallTime operator+(Duration d) const { return {us + d.us}; }
  constexpr WallTime operator-(Duration d) const { return {us - d.us}; }
  constexpr Duration operator-(WallTime other) const { return {us - other.us}; }
};

}  // namespace postring
