// The launchers of convolutions: how each is divided into tiles and chunks.
#include <cstdint>

#include "kernels/cuda/convolution_tile.cuh"
#include "kernels/cuda/elementwise.cuh"
#include "kernels/cuda/launchers.h"

namespace l2o::cuda {

using namespace patches;

void convolution(const ConvolutionArgs& args, const Device& device) {
  const ConvolutionShape& shape = args.shape;
  const ProductPlan plan = {.batch = shape.batch,
                            .rows = output_pixels(shape),
                            .terms = patch_size(shape),
                            .columns = shape.out_channels,
                            .chunks = {1, patch_size(shape)}};
  if (plan.batch == 0 || plan.rows == 0 || plan.columns == 0) return;
  multiply("convolution", Forward{args}, plan, device);
}

void convolution_backward_input(const ConvolutionBackwardInputArgs& args, const Device& device) {
  const ConvolutionShape& shape = args.shape;
  const std::int64_t terms = std::int64_t{shape.kernel} * shape.kernel * shape.out_channels;
  const ProductPlan plan = {.batch = shape.batch,
                            .rows = std::int64_t{shape.images} * shape.height * shape.width,
                            .terms = terms,
                            .columns = shape.channels,
                            .chunks = {1, terms}};
  if (plan.batch == 0 || plan.rows == 0 || plan.columns == 0) return;
  multiply("convolution_backward_input", BackwardInput{args}, plan, device);
}

void convolution_backward_weights(const ConvolutionBackwardWeightsArgs& args,
                                  const Device& device) {
  constexpr std::int64_t kMinPixelsPerChunk = 1024;
  constexpr std::int64_t kFloatsPerDouble = 2;
  const ConvolutionShape& shape = args.shape;
  const std::int64_t pixels = output_pixels(shape);
  const std::int64_t weights = patch_size(shape) * shape.out_channels;
  if (shape.batch == 0 || weights == 0) return;
  const std::int64_t doubles = (shape.batch * weights - 1) / kFloatsPerDouble + 1;
  const ProductPlan plan = {
      .batch = shape.batch,
      .rows = patch_size(shape),
      .terms = pixels,
      .columns = shape.out_channels,
      .chunks = pixels == 0 ? Chunks{1, 0} : chunks_of(pixels, kMinPixelsPerChunk, doubles)};
  const BackwardWeights product = {args, plan.chunks, reinterpret_cast<float*>(device.workspace)};
  multiply("convolution_backward_weights", product, plan, device);
  if (plan.chunks.count == 1) return;
  for_each("convolution_backward_weights", shape.batch * weights, SumChunks{product, weights},
           device);
}

}  // namespace l2o::cuda
