// Synthetic grey images, for use without a data set: ten classes, each a figure of five spots whose
// position and brightness vary between images, among four spots that belong to no class and under
// sparse noise. Only sums and products of floats: the same bytes on every machine.
#include <algorithm>
#include <cstdint>
#include <random>

#include "host/data/readers.h"

namespace l2o {
namespace {

constexpr int kSide = 28, kClasses = 10, kSpots = 5, kStraySpots = 4;
constexpr int kTrainRows = 6'000, kTestRows = 1'000;

class Random {
 public:
  explicit Random(std::uint64_t seed) : bits_(seed) {}
  /// U[low, high).
  float between(float low, float high) {
    return low + (high - low) * static_cast<float>(bits_() >> 40) * 0x1p-24F;
  }
  int below(int count) { return static_cast<int>((bits_() >> 40) * std::uint64_t(count) >> 24); }

 private:
  std::mt19937_64 bits_;
};

struct Spot {
  float x, y, radius;
};

Spot draw_spot(Random& random, float margin) {
  const float end = static_cast<float>(kSide) - margin;
  Spot spot;  // field by field: arguments may be evaluated in any order
  spot.x = random.between(margin, end);
  spot.y = random.between(margin, end);
  spot.radius = random.between(2.5F, 4.5F);
  return spot;
}

/// image += brightness (1 - d^2 / radius^2)^2 within the radius.
void add_spot(const Spot& spot, float brightness, float (&image)[kSide][kSide]) {
  for (int y = 0; y < kSide; ++y) {
    for (int x = 0; x < kSide; ++x) {
      const float dx = static_cast<float>(x) - spot.x, dy = static_cast<float>(y) - spot.y;
      const float inside = 1.0F - (dx * dx + dy * dy) / (spot.radius * spot.radius);
      if (inside > 0.0F) image[y][x] += brightness * inside * inside;
    }
  }
}

}  // namespace

DataSet read_synthetic(const DataOptions& options) {
  Random figures_of(1);
  Spot figures[kClasses][kSpots];
  for (auto& figure : figures) {
    for (Spot& spot : figure) spot = draw_spot(figures_of, 8.0F);
  }

  const bool is_test = options.split == Split::kTest;
  DataSet set;
  set.rows = is_test ? kTestRows : kTrainRows;
  set.height = set.width = kSide;
  set.channels = 1;
  set.classes = kClasses;
  set.source = "the synthetic images";
  Random random(is_test ? 3 : 2);
  for (std::int64_t row = 0; row < set.rows; ++row) {
    const int label = random.below(kClasses);
    const float right = random.between(-5.0F, 5.0F), down = random.between(-5.0F, 5.0F);
    const float brightness = random.between(0.4F, 1.0F);
    float image[kSide][kSide] = {};
    for (const Spot& spot : figures[label]) {
      add_spot({spot.x + right, spot.y + down, spot.radius}, brightness, image);
    }
    for (int i = 0; i < kStraySpots; ++i) {
      const Spot stray = draw_spot(random, 2.0F);
      add_spot(stray, random.between(0.0F, 1.0F), image);
    }
    for (const auto& line : image) {
      for (const float value : line) {
        const float noise = random.below(8) == 0 ? random.between(0.0F, 0.5F) : 0.0F;
        set.bytes.push_back(static_cast<std::uint8_t>(255.0F * std::min(value + noise, 1.0F)));
      }
    }
    set.labels.push_back(static_cast<std::uint16_t>(label));
  }
  return set;
}

bool synthetic_has_test_split(const DataOptions& /*options*/) { return true; }

}  // namespace l2o
