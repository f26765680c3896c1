// The model file: safetensors whose tensors are named and shaped as PyTorch's modules have them,
// so that torch.nn.LSTM and torch.nn.Linear load it (docs/math.md section 3). Where there are
// several rules, the names of a rule's tensors and metadata begin with its own name and a dot.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "host/optimizer/optimizer.h"

namespace l2o {

/// A model as the bytes of a file, which complaints call `target_name`. Throws kUsage for a
/// hand-designed rule, which has nothing to save, and where trained_on is too long for a header;
/// kDiverged where phi is not finite.
std::vector<std::byte> model_bytes(const Model& model, const std::string& target_name);

/// Writes atomically: temporary file, fsync, rename, fsync of the directory. Throws kInputOutput.
void save_model(const std::string& path, const Model& model);
/// The model of that rule alone.
void save_model(const std::string& path, const Optimizer& optimizer);

/// Throws kInputOutput where the file cannot be read, kBadData where it is damaged or no model;
/// never takes more memory than the file's size warrants.
Model load_model(const std::string& path);

/// The same from the bytes of a file; `source_name` is what complaints call it.
Model parse_model(std::span<const std::byte> bytes, const std::string& source_name);

}  // namespace l2o
