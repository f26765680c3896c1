// The list of update rules. To add one, implement the contract of cell.h in a new file, include it
// here and add it to CellList. All backends, configs, reports and tests find it through this list.
#pragma once

#include <cstddef>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "kernels/cells/adagrad_cell.h"
#include "kernels/cells/adam_cell.h"
#include "kernels/cells/lstm_cell.h"
#include "kernels/cells/momentum_cell.h"
#include "kernels/cells/nag_cell.h"
#include "kernels/cells/rmsprop_cell.h"
#include "kernels/cells/rprop_cell.h"
#include "kernels/cells/sgd_cell.h"

namespace l2o {

/// CellConfig::kind is an index into this list.
using CellList = std::tuple<LstmCell, SgdCell, MomentumCell, NagCell, AdagradCell, RpropCell,
                            RmspropCell, AdamCell>;

inline constexpr int kCellCount = static_cast<int>(std::tuple_size_v<CellList>);
inline constexpr int kLstmKind = 0;
static_assert(std::is_same_v<std::tuple_element_t<kLstmKind, CellList>, LstmCell>);

/// Whether the rule is an LSTM that the backends have their own kernels for: with layers, and
/// without an input projection.
constexpr bool has_lstm_kernels(const CellConfig& cell) {
  return cell.kind == kLstmKind && cell.lstm.layers > 0 && cell.lstm.input_projection == 0;
}

/// Whether a predicate holds for every cell of the list.
template <class Predicate>
constexpr bool every_cell(Predicate&& predicate) {
  return std::apply([&](auto... cells) { return (predicate(cells) && ...); }, CellList{});
}
static_assert(every_cell([](auto cell) {
  return decltype(cell)::kHyper.size() <= std::size_t{CellConfig::kMaxHyper};
}));

/// Calls visitor(C{}) for the cell C of the given kind, which must be in [0, kCellCount).
template <class Visitor>
auto visit_cell(int kind, Visitor&& visitor) {
  return [&]<int... k>(std::integer_sequence<int, k...>) {
    using Result = decltype(visitor(std::tuple_element_t<0, CellList>{}));
    if constexpr (std::is_void_v<Result>) {
      ((kind == k ? visitor(std::tuple_element_t<k, CellList>{}) : void()), ...);
    } else {
      Result result{};
      ((kind == k ? void(result = visitor(std::tuple_element_t<k, CellList>{})) : void()), ...);
      return result;
    }
  }
  (std::make_integer_sequence<int, kCellCount>{});
}

inline std::string_view cell_name(int kind) {
  return visit_cell(kind, [](auto cell) { return std::string_view(decltype(cell)::kName); });
}
inline std::string_view cell_name(const CellConfig& cell) { return cell_name(cell.kind); }

/// The kind with this name, or -1.
inline int find_cell(std::string_view name) {
  for (int kind = 0; kind < kCellCount; ++kind) {
    if (cell_name(kind) == name) return kind;
  }
  return -1;
}

/// S: number of state values per coordinate.
inline int cell_state_size(const CellConfig& cell) {
  return visit_cell(cell.kind, [&](auto c) { return decltype(c)::state_size(cell); });
}
/// P: number of meta-parameters.
inline int cell_meta_size(const CellConfig& cell) {
  return visit_cell(cell.kind, [&](auto c) { return decltype(c)::meta_size(cell); });
}

}  // namespace l2o
