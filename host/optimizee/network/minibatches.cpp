#include "host/optimizee/network/minibatches.h"

#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "host/backend/checked_size.h"

namespace l2o {
namespace {

template <class T>
Buffer<T> uploaded(Backend& backend, const std::vector<T>& values) {
  Buffer<T> buffer(backend, values.size());
  buffer.upload(values);
  return buffer;
}

/// The set on that backend, uploaded if it is not there yet.
std::shared_ptr<const DeviceDataSet> on_backend(Backend& backend,
                                                const std::shared_ptr<const DataSet>& data) {
  static std::mutex mutex;
  static std::map<std::pair<const Backend*, const DataSet*>, std::weak_ptr<const DeviceDataSet>>
      in_use;
  const std::lock_guard lock(mutex);
  std::erase_if(in_use, [](const auto& entry) { return entry.second.expired(); });
  std::weak_ptr<const DeviceDataSet>& known = in_use[{&backend, data.get()}];
  std::shared_ptr<const DeviceDataSet> set = known.lock();
  if (!set) {
    set = std::make_shared<const DeviceDataSet>(backend, data);
    known = set;
  }
  return set;
}

}  // namespace

DeviceDataSet::DeviceDataSet(Backend& backend, std::shared_ptr<const DataSet> set)
    : data(std::move(set)),
      bytes(uploaded(backend, data->bytes)),
      values(uploaded(backend, data->values)),
      scale(uploaded(backend, data->scale)),
      shift(uploaded(backend, data->shift)),
      labels(uploaded(backend, data->labels)),
      targets(uploaded(backend, data->targets)) {}

Minibatches::Minibatches(Backend& backend, const std::shared_ptr<const DataSet>& data, int tasks,
                         int rows)
    : backend_(backend),
      set_(on_backend(backend, data)),
      tasks_(tasks),
      rows_(rows),
      inputs_(backend, checked_size({tasks, rows, data->row_size()})),
      labels_(backend, data->labels.empty() ? 0 : checked_size({tasks, rows})),
      targets_(backend, checked_size({tasks, rows, data->target_size})),
      key_(backend, 1) {}

void Minibatches::gather(std::uint32_t step) {
  const DataSet& data = *set_->data;
  GatherMinibatchArgs args;
  args.key = key_.data();
  args.step = step;
  args.batch = tasks_;
  args.rows = rows_;
  args.count = data.rows;
  args.row_size = data.row_size();
  args.channels = data.channels;
  // Exactly one of the two.
  if (data.bytes.empty()) {
    args.values = set_->values.data();
  } else {
    args.bytes = set_->bytes.data();
  }
  args.scale = set_->scale.data();
  args.shift = set_->shift.data();
  if (!data.labels.empty()) args.labels = set_->labels.data();
  if (!data.targets.empty()) args.targets = set_->targets.data();
  args.target_size = data.target_size;
  args.minibatch = inputs_.data();
  args.minibatch_labels = labels_.data();
  args.minibatch_targets = targets_.data();
  backend_.gather_minibatch(args);
}

}  // namespace l2o
