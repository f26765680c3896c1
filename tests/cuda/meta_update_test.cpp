// Adam on phi, on a CUDA device compared to the CPU.
#include <gtest/gtest.h>

#include "tests/cuda/on_both.h"
#include "tests/support/tolerances.h"

namespace l2o {
namespace {

using test::kInfinity;
using test::numbers;
using test::OnBackend;
using test::Results;

/// phi with its Adam state on a backend, and the inputs of an update.
struct AdamOnBackend {
  Backend& backend;
  std::int64_t size;
  OnBackend<float> meta, first, second, gradient, losses, rate;
  OnBackend<std::int64_t> updates;
  Buffer<MetaUpdateReport> report;
  float clip_norm = 0.0F;

  AdamOnBackend(Backend& on, std::int64_t p, std::int64_t loss_count)
      : backend(on),
        size(p),
        meta(on, numbers(1, p)),
        first(on, std::vector<float>(static_cast<std::size_t>(p))),
        second(on, std::vector<float>(static_cast<std::size_t>(p))),
        gradient(on, numbers(2, p)),
        losses(on, numbers(3, loss_count)),
        rate(on, {0.0F}),
        updates(on, {0}),
        report(on, 1),
        loss_count_(loss_count) {}

  void set(const std::vector<float>& new_gradient, float new_rate) {
    backend.upload(gradient.data(), new_gradient.data(), new_gradient.size() * sizeof(float));
    backend.upload(rate.data(), &new_rate, sizeof new_rate);
  }
  void update() {
    backend.meta_update({.size = size,
                         .meta = meta.data(),
                         .first_moment = first.data(),
                         .second_moment = second.data(),
                         .updates = updates.data(),
                         .meta_gradient = gradient.data(),
                         .loss_count = loss_count_,
                         .losses = losses.data(),
                         .learning_rate = rate.data(),
                         .clip_norm = clip_norm,
                         .report = report.data()});
  }
  Results results() const {
    const MetaUpdateReport said = report.download().front();
    return {meta.values(),        first.values(),
            second.values(),      {static_cast<float>(updates.values().front())},
            {said.gradient_norm}, {static_cast<float>(said.applied)}};
  }

 private:
  std::int64_t loss_count_;
};

class CudaMetaUpdate : public test::OnBoth {};

TEST_F(CudaMetaUpdate, MatchesTheCpu) {
  for (const std::int64_t size : {0, 1, 1000, 5141}) {
    for (const float clip_norm : {0.0F, 0.5F}) {
      for (const std::int64_t loss_count : {0, 1, 3000}) {
        SCOPED_TRACE(testing::Message()
                     << "P " << size << ", clip " << clip_norm << ", losses " << loss_count);
        expect_close(tolerance::kMetaUpdate, [&](Backend& backend) {
          AdamOnBackend optimizer(backend, size, loss_count);
          optimizer.clip_norm = clip_norm;
          for (std::uint32_t update = 1; update <= 5; ++update) {
            optimizer.set(numbers(10 + update, size, 3.0F), 0.01F / static_cast<float>(update));
            optimizer.update();
          }
          return optimizer.results();
        });
      }
    }
  }
}

TEST_F(CudaMetaUpdate, NonFiniteValuesChangeNothing) {
  constexpr std::int64_t kSize = 1500, kLosses = 2100;
  // The last gradient is finite, but its square would overflow the second moment for good.
  for (const float bad : {kInfinity, -kInfinity, std::nanf(""), 3e38F}) {
    for (const bool in_losses : {false, true}) {
      if (in_losses && std::isfinite(bad)) continue;
      SCOPED_TRACE(testing::Message() << bad << (in_losses ? " as a loss" : " in the gradient"));
      AdamOnBackend optimizer(*cuda_, kSize, kLosses);
      optimizer.set(numbers(4, kSize), 0.01F);
      optimizer.update();
      const Results before = optimizer.results();
      EXPECT_EQ(before[5].front(), 1.0F);
      std::vector<float> values = numbers(4, in_losses ? kLosses : kSize);
      values[1400] = bad;
      if (in_losses) {
        cuda_->upload(optimizer.losses.data(), values.data(), values.size() * sizeof(float));
      } else {
        optimizer.set(values, 0.01F);
      }
      optimizer.update();
      const Results after = optimizer.results();
      for (std::size_t i = 0; i < 4; ++i) EXPECT_TRUE(test::same_bits(after[i], before[i])) << i;
      EXPECT_EQ(after[5].front(), 0.0F);
    }
  }
}

TEST_F(CudaMetaUpdate, RecordedUpdateReadsCurrentInputs) {
  constexpr std::int64_t kSize = 700;
  const auto run = [&](bool recorded) {
    AdamOnBackend optimizer(*cuda_, kSize, 4);
    std::unique_ptr<Recording> recording;
    for (std::uint32_t update = 1; update <= 4; ++update) {
      optimizer.set(numbers(10 + update, kSize), 0.1F / static_cast<float>(update));
      if (recorded) {
        cuda_->run(recording, [&] { optimizer.update(); });
      } else {
        optimizer.update();
      }
    }
    return optimizer.results();
  };
  const Results recorded = run(true), queued = run(false);
  EXPECT_EQ(queued[3].front(), 4.0F);
  for (std::size_t i = 0; i < queued.size(); ++i) {
    EXPECT_TRUE(test::same_bits(recorded[i], queued[i])) << i;
  }
}

}  // namespace
}  // namespace l2o
