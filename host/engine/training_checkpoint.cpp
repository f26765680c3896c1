#include "host/engine/training_checkpoint.h"

#include <xxhash.h>

#include <bit>
#include <cstring>
#include <type_traits>

#include "host/core/error.h"

namespace l2o {
namespace {

static_assert(std::endian::native == std::endian::little, "the file is little-endian");

constexpr char kMagic[8] = {'L', '2', 'O', 'T', 'R', 'A', 'I', 'N'};
constexpr std::uint32_t kVersion = 4;
constexpr std::size_t kChecksumBytes = sizeof(std::uint64_t);

/// Appends values to a byte string.
class Writer {
 public:
  void append(const void* data, std::size_t bytes) {
    const auto* begin = static_cast<const std::byte*>(data);
    out_.insert(out_.end(), begin, begin + bytes);
  }
  template <class Value>
  void operator()(const Value& value) {
    static_assert(std::is_arithmetic_v<Value>);
    append(&value, sizeof(value));
  }
  template <class Value>
  void operator()(const std::vector<Value>& values) {
    (*this)(std::uint64_t{values.size()});
    append(values.data(), values.size() * sizeof(Value));
  }
  std::vector<std::byte>& out() { return out_; }

 private:
  std::vector<std::byte> out_;
};

Error bad(const std::string& source, const std::string& why) {
  return Error(Status::kBadData, "training checkpoint " + source + ": " + why);
}

/// Takes values from the front of a byte string; checks every length before allocating.
class Reader {
 public:
  Reader(std::span<const std::byte> bytes, const std::string& source)
      : rest_(bytes), source_(source) {}

  void take(void* out, std::size_t bytes) {
    if (bytes > rest_.size()) throw bad(source_, "the file is truncated");
    if (bytes > 0) std::memcpy(out, rest_.data(), bytes);
    rest_ = rest_.subspan(bytes);
  }
  template <class Value>
  void operator()(Value& value) {
    static_assert(std::is_arithmetic_v<Value>);
    take(&value, sizeof(value));
  }
  template <class Value>
  void operator()(std::vector<Value>& values) {
    std::uint64_t size = 0;
    (*this)(size);
    if (size > rest_.size() / sizeof(Value)) {
      throw bad(source_, "an array is longer than the file");
    }
    values.resize(size);
    take(values.data(), size * sizeof(Value));
  }
  bool empty() const { return rest_.empty(); }

 private:
  std::span<const std::byte> rest_;
  const std::string& source_;
};

/// Visits every field in file order: the only place that defines this order.
template <class Checkpoint, class Visitor>
void visit_fields(Checkpoint& c, Visitor&& visit) {
  visit(c.config_hash);
  visit(c.data_hash);
  visit(c.metrics_bytes);
  visit(c.position.episode);
  visit(c.position.unroll);
  visit(c.position.member_episodes);
  visit(c.position.member_unrolls);
  visit(c.position.member_losses);
  visit(c.position.unrolls_done);
  visit(c.position.skipped_updates);
  visit(c.position.skipped_in_row);
  visit(c.position.sums.weighted_loss);
  visit(c.position.sums.weight);
  visit(c.position.sums.final_loss);
  visit(c.position.sums.gradient_norm);
  visit(c.position.sums.applied);
  visit(c.position.sums.skipped);
  visit(c.position.sums.member_norms);
  visit(c.position.sums.member_updates);
  visit(c.position.sums.member_failures);
  visit(c.position.best_validation);
  visit(c.position.best_episode);
  visit(c.position.evaluated_episode);
  visit(c.position.initial_validation);
  visit(c.meta_parameters);
  visit(c.best_meta_parameters);
  visit(c.meta_optimizer.first_moment);
  visit(c.meta_optimizer.second_moment);
  visit(c.meta_optimizer.updates);
  visit(c.scales);
  visit(c.carried.theta);
  visit(c.carried.state);
}

}  // namespace

std::vector<std::byte> serialize(const TrainingCheckpoint& checkpoint) {
  Writer writer;
  writer.append(kMagic, sizeof(kMagic));
  writer(kVersion);
  visit_fields(checkpoint, writer);
  writer(std::uint64_t{XXH64(writer.out().data(), writer.out().size(), 0)});
  return std::move(writer.out());
}

TrainingCheckpoint parse_training_checkpoint(std::span<const std::byte> bytes,
                                             const std::string& source) {
  if (bytes.size() < sizeof(kMagic) + kChecksumBytes) throw bad(source, "the file is truncated");
  if (std::memcmp(bytes.data(), kMagic, sizeof(kMagic)) != 0) {
    throw bad(source, "it does not begin with L2OTRAIN: not a training checkpoint");
  }
  const std::span<const std::byte> body = bytes.first(bytes.size() - kChecksumBytes);
  std::uint64_t stored = 0;
  std::memcpy(&stored, bytes.data() + body.size(), kChecksumBytes);
  if (XXH64(body.data(), body.size(), 0) != stored) {
    throw bad(source, "the checksum does not match: the file is damaged or truncated");
  }

  Reader read(body.subspan(sizeof(kMagic)), source);
  std::uint32_t version = 0;
  read(version);
  if (version != kVersion) {
    throw bad(source, "format version " + std::to_string(version) + "; expected " +
                          std::to_string(kVersion));
  }
  TrainingCheckpoint checkpoint;
  visit_fields(checkpoint, read);
  if (!read.empty()) throw bad(source, "the file continues after its last field");
  return checkpoint;
}

}  // namespace l2o
