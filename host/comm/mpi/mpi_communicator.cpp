#include "host/comm/mpi/mpi_communicator.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <thread>
#include <utility>

#include "host/core/error.h"

namespace l2o {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kTag = 0;
/// MPI counts are int.
constexpr std::size_t kMaxPiece = std::size_t{1} << 30;
/// Ranks check for a signal to stop about every tenth of a second.
constexpr std::chrono::seconds kStopTogether{4};
/// Rank 0 may be writing a checkpoint meanwhile.
constexpr std::chrono::seconds kStopSaving{20};
/// Ranks that fail with the same error do so almost simultaneously; there is no point in waiting
/// longer for the others.
constexpr std::chrono::milliseconds kEndTogether{4000};

std::string message_of(int code) {
  std::string text(MPI_MAX_ERROR_STRING, '\0');
  int length = 0;
  MPI_Error_string(code, text.data(), &length);
  text.resize(static_cast<std::size_t>(length));
  return text;
}

/// For calls whose failure is not caused by another rank.
void check(int code, const char* call) {
  if (code != MPI_SUCCESS)
    throw Error(Status::kFailure, std::string(call) + ": " + message_of(code));
}

int number_of(MPI_Comm ranks, int (*function)(MPI_Comm, int*)) {
  int number = 0;
  function(ranks, &number);
  return number;
}

/// Polls less and less often, so that waiting ranks yield a shared core to those that compute.
class Backoff {
 public:
  void pause() {
    if (++polls_ < 200) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(std::chrono::microseconds(polls_ < 2000 ? 20 : 200));
    }
  }

 private:
  int polls_ = 0;
};

}  // namespace

/// Messages in flight.
struct MpiCommunicator::Transfers {
  explicit Transfers(MPI_Comm communicator) : ranks(communicator) {}
  /// Requests are abandoned after an exception: the process is about to exit anyway.
  ~Transfers() = default;

  void send(int to, std::span<const std::byte> bytes) {
    pieces(bytes.size(), [&](std::size_t first, int size) {
      check(MPI_Isend(bytes.data() + first, size, MPI_BYTE, to, kTag, ranks, &added(to, false)),
            "MPI_Isend");
    });
  }
  void receive(int from, std::span<std::byte> bytes) {
    pieces(bytes.size(), [&](std::size_t first, int size) {
      check(MPI_Irecv(bytes.data() + first, size, MPI_BYTE, from, kTag, ranks, &added(from, true)),
            "MPI_Irecv");
    });
  }
  /// Ranks that still have to send something; if none, those that have not yet received theirs.
  std::vector<int> missing() const {
    std::vector<int> from, to;
    for (std::size_t i = 0; i < requests.size(); ++i) {
      if (requests[i] != MPI_REQUEST_NULL) (is_receipt[i] ? from : to).push_back(peers[i]);
    }
    std::vector<int>& found = from.empty() ? to : from;
    std::ranges::sort(found);
    found.erase(std::unique(found.begin(), found.end()), found.end());
    return found;
  }

  MPI_Comm ranks;
  std::vector<MPI_Request> requests;
  std::vector<int> peers;
  std::vector<bool> is_receipt;

 private:
  template <class Call>
  static void pieces(std::size_t size, const Call& call) {
    for (std::size_t first = 0; first < size; first += kMaxPiece) {
      call(first, static_cast<int>(std::min(kMaxPiece, size - first)));
    }
  }
  MPI_Request& added(int peer, bool receipt) {
    peers.push_back(peer);
    is_receipt.push_back(receipt);
    return requests.emplace_back(MPI_REQUEST_NULL);
  }
};

MpiCommunicator::MpiCommunicator(std::chrono::seconds timeout,
                                 std::function<bool()> is_told_to_stop)
    : timeout_(timeout), is_told_to_stop_(std::move(is_told_to_stop)) {
  int provided = 0;
  check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread");
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  check(MPI_Comm_dup(MPI_COMM_WORLD, &world_), "MPI_Comm_dup");
  check(MPI_Comm_dup(MPI_COMM_WORLD, &ending_), "MPI_Comm_dup");
  rank_ = number_of(world_, MPI_Comm_rank);
  size_ = number_of(world_, MPI_Comm_size);
  MPI_Comm machine = MPI_COMM_NULL;
  check(MPI_Comm_split_type(world_, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &machine),
        "MPI_Comm_split_type");
  local_rank_ = number_of(machine, MPI_Comm_rank);
  local_size_ = number_of(machine, MPI_Comm_size);
  MPI_Comm_free(&machine);
}

MpiCommunicator::~MpiCommunicator() { MPI_Finalize(); }

void MpiCommunicator::all_to_all(std::span<const double> send, std::span<double> receive) {
  const std::size_t block = send.size() / static_cast<std::size_t>(size_);
  exchange(send, block, block, receive, kStopTogether);
}

void MpiCommunicator::all_gather(std::span<const double> send, std::span<double> receive) {
  exchange(send, send.size(), 0, receive, kStopTogether);
}

void MpiCommunicator::exchange(std::span<const double> send, std::size_t block, std::size_t stride,
                               std::span<double> receive, std::chrono::milliseconds after_signal) {
  Transfers transfers(world_);
  for (int step = 0; step < size_; ++step) {
    // Each rank begins with itself and its neighbor, so that not all send to rank 0 first.
    const int peer = (rank_ + step) % size_;
    const auto place = static_cast<std::size_t>(peer);
    const std::span<const double> out = send.subspan(place * stride, block);
    const std::span<double> in = receive.subspan(place * block, block);
    if (peer == rank_) {
      std::ranges::copy(out, in.begin());
    } else {
      transfers.receive(peer, std::as_writable_bytes(in));
      transfers.send(peer, std::as_bytes(out));
    }
  }
  wait(transfers, timeout_, after_signal);
}

std::vector<std::uint64_t> MpiCommunicator::sizes_of_all(std::size_t mine) {
  const auto size = static_cast<double>(mine);  // exact below 2^53
  std::vector<double> sizes(static_cast<std::size_t>(size_));
  exchange({&size, 1}, 1, 0, sizes, kStopSaving);
  return {sizes.begin(), sizes.end()};
}

std::vector<Bytes> MpiCommunicator::gather(const Bytes& send) {
  const std::vector<std::uint64_t> sizes = sizes_of_all(send.size());
  Transfers transfers(world_);
  std::vector<Bytes> all;
  if (is_root()) {
    for (const std::uint64_t size : sizes) all.emplace_back(size);
    all.front() = send;
    for (int peer = 1; peer < size_; ++peer) {
      transfers.receive(peer, all[static_cast<std::size_t>(peer)]);
    }
  } else {
    transfers.send(0, send);
  }
  wait(transfers, timeout_, timeout_);
  return all;
}

Bytes MpiCommunicator::broadcast(Bytes bytes) {
  bytes.resize(sizes_of_all(bytes.size()).front());
  // Use a tree: it may be a large checkpoint. All ranks are already known to be present.
  for (std::size_t first = 0; first < bytes.size(); first += kMaxPiece) {
    const auto size = static_cast<int>(std::min(kMaxPiece, bytes.size() - first));
    Transfers transfers(world_);
    transfers.peers = {0};
    transfers.is_receipt = {true};
    transfers.requests = {MPI_REQUEST_NULL};
    check(MPI_Ibcast(bytes.data() + first, size, MPI_BYTE, 0, world_, transfers.requests.data()),
          "MPI_Ibcast");
    wait(transfers, timeout_, timeout_);
  }
  return bytes;
}

void MpiCommunicator::wait(Transfers& transfers, std::chrono::milliseconds timeout,
                           std::chrono::milliseconds after_signal) {
  const auto start = Clock::now();
  auto deadline = start + timeout;
  bool is_stopping = false;
  const auto count = static_cast<int>(transfers.requests.size());
  std::vector<int> done(transfers.requests.size());
  std::vector<MPI_Status> statuses(transfers.requests.size());
  for (Backoff backoff;; backoff.pause()) {
    int completed = 0;
    const int code =
        MPI_Testsome(count, transfers.requests.data(), &completed, done.data(), statuses.data());
    if (completed > 0) backoff = Backoff();
    if (completed == MPI_UNDEFINED) return;  // none left
    for (int i = 0; code == MPI_ERR_IN_STATUS && i < completed; ++i) {
      const int failure = statuses[static_cast<std::size_t>(i)].MPI_ERROR;
      const auto place = static_cast<std::size_t>(done[static_cast<std::size_t>(i)]);
      if (failure == MPI_SUCCESS) continue;
      throw Error(Status::kRankLost, fmt::format("lost rank {} of {}: {}", transfers.peers[place],
                                                 size_, message_of(failure)));
    }
    if (code != MPI_SUCCESS && code != MPI_ERR_IN_STATUS) check(code, "MPI_Testsome");
    const auto now = Clock::now();
    if (!is_stopping && is_told_to_stop_()) {
      is_stopping = true;
      deadline = std::min<Clock::time_point>(deadline, now + after_signal);
    }
    if (now < deadline) continue;
    const std::vector<int> missing = transfers.missing();
    const bool is_one = missing.size() == 1;
    throw Error(
        Status::kRankLost,
        fmt::format(
            "rank{} {} of {} {} sent nothing for {} s: {}; train --resume continues from the last "
            "checkpoint",
            is_one ? "" : "s", fmt::join(missing, ", "), size_, is_one ? "has" : "have",
            std::chrono::duration_cast<std::chrono::seconds>(now - start).count(),
            is_stopping ? "gone or hung, after a signal to stop"
                        : "hung, or slower than --timeout allows"));
  }
}

bool MpiCommunicator::all_end_by(std::uint64_t error_hash) {
  // Outlives a wait that fails, after which messages may still arrive.
  static std::vector<std::uint64_t> hashes;
  hashes.assign(static_cast<std::size_t>(size_), error_hash);
  const auto hash_of = [](int rank) {
    return std::span(hashes).subspan(static_cast<std::size_t>(rank), 1);
  };
  try {
    Transfers transfers(ending_);
    for (int peer = 0; peer < size_; ++peer) {
      if (peer == rank_) continue;
      transfers.receive(peer, std::as_writable_bytes(hash_of(peer)));
      transfers.send(peer, std::as_bytes(hash_of(rank_)));
    }
    wait(transfers, kEndTogether, kEndTogether);
  } catch (const Error&) {
    return false;
  }
  return std::ranges::all_of(hashes, [&](std::uint64_t hash) { return hash == error_hash; });
}

void MpiCommunicator::abort(int exit_code) {
  MPI_Abort(MPI_COMM_WORLD, exit_code);
  std::_Exit(exit_code);
}

}  // namespace l2o
