// The transformations of a data set that a configuration may ask for: some of its classes, grey or
// smaller images, standardized values. Each throws kUsage, naming the key, if the set does not
// allow it.
#pragma once

#include "host/data/data_set.h"

namespace l2o {

/// Checks the invariants of any set: as many labels or targets as rows, labels below `classes`,
/// consistent sizes. Throws kBadData naming set.source.
void check_rows(const DataSet& set);

/// Keeps the rows of transform.classes, renumbered in that order.
void keep_classes(DataSet& set, const DataTransform& transform);
/// 0.299 red + 0.587 green + 0.114 blue (ITU-R BT.601).
void to_grey(DataSet& set, const DataTransform& transform);
/// Averages images down to a square of side transform.resize: an output pixel is the mean of the
/// area that it covers; partly covered pixels count in proportion.
void shrink(DataSet& set, const DataTransform& transform);
/// Sets scale and shift so that every channel of `training` has mean 0 and standard deviation 1.
void standardise(DataSet& set, const DataSet& training);

}  // namespace l2o
