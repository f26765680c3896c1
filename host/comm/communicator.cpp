#include "host/comm/communicator.h"

#include <cstring>
#include <string>
#include <utility>

#include "host/core/error.h"

namespace l2o {

Communicator& only_rank() {
  static SelfCommunicator self;  // stateless
  return self;
}

std::vector<float> gather_numbers(Communicator& ranks, std::vector<float> numbers) {
  if (ranks.size() == 1) return numbers;
  const auto bytes = std::as_bytes(std::span(numbers));
  std::vector<float> all;
  for (const Bytes& part : ranks.gather({bytes.begin(), bytes.end()})) {
    if (part.empty()) continue;  // memcpy must not be given its null pointer
    const std::size_t first = all.size();
    all.resize(first + part.size() / sizeof(float));
    std::memcpy(all.data() + first, part.data(), part.size());
  }
  return all;
}

std::vector<double> all_gathered(Communicator& ranks, std::span<const double> send) {
  std::vector<double> all(send.size() * static_cast<std::size_t>(ranks.size()));
  ranks.all_gather(send, all);
  return all;
}

void barrier(Communicator& ranks) {
  const double nothing = 0.0;
  all_gathered(ranks, {&nothing, 1});
}

Bytes at_root(Communicator& ranks, const std::function<Bytes()>& work) {
  // The first byte is 0, followed by the result, or a status, followed by the error's message.
  Bytes outcome;
  if (ranks.is_root()) {
    try {
      outcome = work();
      outcome.insert(outcome.begin(), std::byte{0});
    } catch (const Error& error) {
      const std::string message = error.what();
      outcome = {static_cast<std::byte>(error.status())};
      for (const char letter : message) outcome.push_back(static_cast<std::byte>(letter));
    }
  }
  outcome = ranks.broadcast(std::move(outcome));
  const auto status = static_cast<Status>(outcome.front());
  outcome.erase(outcome.begin());
  if (status == Status::kOk) return outcome;
  throw Error(status, std::string(reinterpret_cast<const char*>(outcome.data()), outcome.size()));
}

}  // namespace l2o
