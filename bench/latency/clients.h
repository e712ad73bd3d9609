// Clients of several sessions in one process: they send turns and, between them, declare what they may ask next.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "timed_sink.h"
#include "world.h"

namespace poise::bench {

struct ClientShape {
  std::int32_t sessions = 4;
  std::int32_t log_tokens = 512;  ///< at the start
  std::int32_t request_tokens = 32;
  std::int32_t answer_tokens = 16;
  std::int32_t guesses = 2;  ///< declared before each turn, if Poise is on
  double hit_share = 0.5;    ///< of the turns: equal one of the guesses
  bool durable = true;
};

/// One turn as its client saw it.
struct ClientTurn {
  std::size_t client = 0;
  TimePoint wanted_at{};  ///< when it should have been sent
  std::shared_ptr<TimedTurn> result;
};

/// All methods belong to one thread. A client whose turn has ended is free once take_ended() has returned it.
class Clients {
 public:
  /// Opens the sessions and waits until their logs (and, if `on`, their first guesses) are paid for.
  Clients(SessionManager& manager, const ClientShape& shape, bool on, std::uint64_t seed);
  /// Waits for running turns and closes the sessions.
  ~Clients();
  Clients(const Clients&) = delete;
  Clients& operator=(const Clients&) = delete;

  /// Sends the client's next turn; the client must be free.
  void send(std::size_t client, TimePoint wanted_at);
  /// Any free client, chosen at random; nothing if all wait for answers.
  [[nodiscard]] std::optional<std::size_t> pick_free();
  /// A turn that has ended, its client's next guesses declared; nothing if none ends before `until`.
  [[nodiscard]] std::optional<ClientTurn> take_ended(TimePoint until);

 private:
  struct Client {
    SessionId session;
    Tokens next;  ///< the request that it will send
    bool busy = false;
    ClientTurn running;
  };
  struct Ended {  // shared with the sinks
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<std::size_t> clients;
  };
  void prepare(Client& client);

  SessionManager& manager_;
  ClientShape shape_;
  bool on_;
  TokenSource ids_;
  std::vector<Client> clients_;
  std::shared_ptr<Ended> ended_ = std::make_shared<Ended>();
};

}  // namespace poise::bench
