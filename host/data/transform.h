// What a configuration asks of a data set: some of its classes, grey or smaller images,
// standardised values. Each throws kUsage, naming the key, where the set does not allow it.
#pragma once

#include "host/data/data_set.h"

namespace l2o {

/// Keeps the rows of options.classes, renumbered in that order.
void keep_classes(DataSet& set, const DataOptions& options);
/// 0.299 red + 0.587 green + 0.114 blue (ITU-R BT.601).
void to_grey(DataSet& set, const DataOptions& options);
/// Images averaged down to options.resize by its square: an output pixel is the mean of the area
/// that it covers, pixels that it covers in part counting in part.
void shrink(DataSet& set, const DataOptions& options);
/// Sets scale and shift so that every channel of `training` has mean 0 and deviation 1.
void standardise(DataSet& set, const DataSet& training);

}  // namespace l2o
