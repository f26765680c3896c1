#include "kernels/cuda/chunked_sums.h"

#include <gtest/gtest.h>

namespace l2o {
namespace {

TEST(Chunks, CoverTheItemsAndFitInTheWorkspace) {
  for (const std::int64_t items : {1LL, 2LL, 127LL, 128LL, 129LL, 5000LL, 1LL << 30, 1LL << 40}) {
    for (const std::int64_t min_size : {1, 128, 4096}) {
      for (const std::int64_t sums : {1, 3, 1000, 65'536, 1'000'000}) {
        SCOPED_TRACE(testing::Message() << items << " items, at least " << min_size
                                        << " per chunk, " << sums << " sums");
        const cuda::Chunks chunks = cuda::chunks_of(items, min_size, sums);
        EXPECT_LT((chunks.count - 1) * chunks.size, items);
        EXPECT_GE(chunks.count * chunks.size, items);
        EXPECT_TRUE(chunks.count == 1 || chunks.size >= min_size);
        EXPECT_TRUE(chunks.count == 1 || chunks.count * sums <= cuda::Device::kWorkspaceSize);
      }
    }
  }
  EXPECT_EQ(cuda::chunks_of(1 << 30, 4096, 1).count, cuda::Device::kWorkspaceSize);
}

}  // namespace
}  // namespace l2o
