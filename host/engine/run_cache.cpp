#include "host/engine/run_cache.h"

#include <fmt/format.h>
#include <unistd.h>
#include <xxhash.h>

#include <cerrno>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <span>
#include <system_error>
#include <utility>

#include "host/core/atomic_file.h"
#include "host/core/error.h"

namespace l2o {
namespace {

constexpr std::size_t kMaxEntryBytes = std::size_t{64} << 20;

std::string checksum_of(const std::string& text) {
  const XXH128_hash_t hash = XXH3_128bits(text.data(), text.size());
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

/// JSON has no NaN: null represents it.
std::vector<double> numbers_of(const nlohmann::ordered_json& list) {
  std::vector<double> numbers;
  for (const auto& value : list) {
    numbers.push_back(value.is_null() ? std::numeric_limits<double>::quiet_NaN()
                                      : value.get<double>());
  }
  return numbers;
}

/// The result in the bytes of an entry; none if they are damaged or belong to another key.
std::optional<RunResult> parse_entry(const Bytes& bytes, const std::string& key) {
  try {
    const auto entry = nlohmann::ordered_json::parse(
        std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
    const nlohmann::ordered_json& content = entry.at("content");
    if (entry.at("checksum") == checksum_of(content.dump()) && content.at("key") == key) {
      return RunResult{.final_losses = numbers_of(content.at("final_losses")),
                       .curve = numbers_of(content.at("curve"))};
    }
  } catch (const nlohmann::json::exception&) {
  }
  return std::nullopt;
}

}  // namespace

RunCache::RunCache(std::string directory, std::function<void(const std::string&)> notice,
                   Communicator& ranks)
    : directory_(std::move(directory)), notice_(std::move(notice)), ranks_(ranks) {
  at_root(ranks_, [&]() -> Bytes {
    if (directory_.empty()) return {};
    std::error_code error;
    std::filesystem::create_directories(directory_, error);
    if (error || access(directory_.c_str(), W_OK | X_OK) != 0 ||
        !std::filesystem::is_directory(directory_)) {
      throw Error(Status::kInputOutput,
                  fmt::format("cannot use {} as a cache: {}", directory_,
                              error ? error.message() : std::strerror(errno)));
    }
    return {};
  });
}

std::string RunCache::path_of(const std::string& key) const {
  return (std::filesystem::path(directory_) / (checksum_of(key) + ".json")).string();
}

std::optional<RunResult> RunCache::find(const std::string& key) const {
  std::optional<RunResult> result;  // parsed once on every rank
  const Bytes bytes = at_root(ranks_, [&]() -> Bytes {
    if (directory_.empty()) return {};
    const std::string path = path_of(key);
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored)) return {};
    try {
      Bytes found = read_file(path, kMaxEntryBytes);
      result = parse_entry(found, key);
      if (result) return found;
    } catch (const Error&) {
    }
    notice_(fmt::format("cache entry {} is damaged; its runs are repeated", path));
    return {};
  });
  if (!ranks_.is_root() && !bytes.empty()) result = parse_entry(bytes, key);
  return result;
}

void RunCache::store(const std::string& key, const RunResult& result) {
  if (directory_.empty() || !ranks_.is_root()) return;
  nlohmann::ordered_json entry;
  nlohmann::ordered_json& content = entry["content"];
  content["key"] = key;
  content["final_losses"] = result.final_losses;
  content["curve"] = result.curve;
  entry["checksum"] = checksum_of(content.dump());
  const std::string text = entry.dump() + "\n";
  try {
    write_file_atomically(path_of(key), std::as_bytes(std::span(text)));
  } catch (const Error& error) {
    notice_(fmt::format("the result of a run is not cached: {}", error.what()));
  }
}

}  // namespace l2o
