// Readers of data sets as stored in their files: bytes or values, labels or targets, and `source`.
#pragma once

#include "host/data/data_set.h"

namespace l2o {

// idx_set.cpp: images and labels as IDX.
DataSet read_idx_set(const DataOptions& options);
bool idx_set_has_test_split(const DataOptions& options);

// cifar.cpp: CIFAR-10 and CIFAR-100, the binary version.
DataSet read_cifar(const DataOptions& options);
bool cifar_has_test_split(const DataOptions& options);

// safetensors_set.cpp: the user's own data.
DataSet read_safetensors_set(const DataOptions& options);
bool safetensors_set_has_test_split(const DataOptions& options);

// synthetic.cpp: generated, without a file.
DataSet read_synthetic(const DataOptions& options);
bool synthetic_has_test_split(const DataOptions& options);

}  // namespace l2o
