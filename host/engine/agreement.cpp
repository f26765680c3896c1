#include "host/engine/agreement.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <xxhash.h>

#include <cstring>
#include <span>
#include <vector>

#include "host/core/atomic_file.h"
#include "host/optimizer/lstm_settings.h"
#include "kernels/math/floating_point_mode.h"

namespace l2o {
namespace {

constexpr std::size_t kMaxProgramBytes = std::size_t{1} << 32;

/// Hash of the running program, read once.
std::uint64_t build_hash() {
  static const std::uint64_t hash = [] {
    const std::vector<std::byte> program = read_file("/proc/self/exe", kMaxProgramBytes);
    return XXH64(program.data(), program.size(), 0);
  }();
  return hash;
}

/// Hash of this thread's floating-point mode: rounding and the treatment of denormals.
std::uint64_t floating_point_hash() {
  return FloatingPointMode::get() & FloatingPointMode::kControl;
}

std::uint64_t trait_hash(const std::string& text) { return XXH64(text.data(), text.size(), 0); }

}  // namespace

void require_same(Communicator& ranks, const std::vector<Trait>& traits, Status status) {
  std::vector<std::uint64_t> mine;
  mine.reserve(traits.size());
  for (const Trait& trait : traits) mine.push_back(trait.hash);
  const std::span<const std::byte> bytes = std::as_bytes(std::span(mine));
  const std::vector<Bytes> all = ranks.gather({bytes.begin(), bytes.end()});
  at_root(ranks, [&]() -> Bytes {
    for (std::size_t i = 0; i < traits.size(); ++i) {
      std::vector<std::size_t> others;
      for (std::size_t rank = 0; rank < all.size(); ++rank) {
        std::uint64_t hash = 0;
        std::memcpy(&hash, all[rank].data() + i * sizeof(hash), sizeof(hash));
        if (hash != mine[i]) others.push_back(rank);
      }
      if (others.empty()) continue;
      throw Error(
          status,
          fmt::format("the ranks of a run differ in {}: rank{} {} from rank 0; expected the "
                      "same at all {} ranks",
                      traits[i].name, others.size() == 1 ? "" : "s", fmt::join(others, ", "),
                      all.size()));
    }
    return {};
  });
}

std::uint64_t model_hash(const Model& model) {
  std::string text;
  for (const GroupRule& rule : model.rules) {
    const CellConfig& cell = rule.optimizer.cell;
    const std::vector<float>& phi = rule.optimizer.meta_parameters;
    text +=
        fmt::format("{} [{}] {} {} [{}] {:x}\n", rule.group.name,
                    fmt::join(rule.group.patterns, ", "), cell.kind, describe_lstm(cell.lstm),
                    fmt::join(cell.hyper, ", "), XXH64(phi.data(), phi.size() * sizeof(float), 0));
  }
  return trait_hash(text);
}

std::vector<Trait> traits_of_run(const Backend& backend, const std::string& configuration,
                                 std::uint64_t data_hash) {
  const DeviceInfo& device = backend.device();
  return {{"their program", build_hash()},
          {"the configuration", trait_hash(configuration)},
          {"the data sets", data_hash},
          {"the floating-point mode", floating_point_hash()},
          {"the kind of CPU or GPU",
           trait_hash(fmt::format("{}, {}, {}", device.name, device.description,
                                  precision_name(device.precision)))}};
}

}  // namespace l2o
