// The model file: safetensors whose tensors are named and shaped like those of PyTorch's modules,
// so that torch.nn.LSTM and torch.nn.Linear load it (docs/math.md section 4). If there are several
// rules, the names of a rule's tensors and metadata begin with its own name and a dot.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "host/optimizer/optimizer.h"

namespace l2o {

/// A model as the bytes of a file, which error messages call `target_name`. Throws kUsage for a
/// hand-designed rule, which has nothing to save, and if trained_on is too long for a header;
/// kDiverged if phi is not finite.
std::vector<std::byte> model_bytes(const Model& model, const std::string& target_name);

/// Writes atomically: temporary file, fsync, rename, fsync of the directory. Throws kInputOutput.
void save_model(const std::string& path, const Model& model);
/// The same for a model of one rule.
void save_model(const std::string& path, const Optimizer& optimizer);

/// Throws kInputOutput if the file cannot be read, kBadData if it is damaged or not a model; never
/// uses more memory than the file's size warrants.
Model load_model(const std::string& path);

/// The same from the bytes of a file, which error messages call `source_name`.
Model parse_model(std::span<const std::byte> bytes, const std::string& source_name);

}  // namespace l2o
