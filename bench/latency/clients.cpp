#include "clients.h"

#include <thread>

#include "poise/error.h"

namespace poise::bench {

Clients::Clients(SessionManager& manager, const ClientShape& shape, bool on, std::uint64_t seed)
    : manager_(manager), shape_(shape), on_(on), ids_(manager.executor()->info().vocab_size, seed) {
  TimePoint asked_at{};
  for (std::int32_t i = 0; i < shape_.sessions; ++i) {
    OpenOptions options;
    options.tenant = on ? "on" : "off";
    options.tokens = ids_.draw(shape_.log_tokens);
    options.preposition = on;
    options.continuation_tokens = shape_.answer_tokens;
    options.sampling.temperature = 0.0F;
    options.stop_tokens = {unlikely_stop(manager_.executor()->info())};
    Client client;
    client.session = manager_.open(options);
    run_turn(manager_, client.session, plain_turn(manager_.executor()->info(), ids_.draw(2), 1), asked_at);
    clients_.push_back(std::move(client));
  }
  for (Client& client : clients_) {
    prepare(client);
  }
  settle(manager_);
}

Clients::~Clients() {
  for (Client& client : clients_) {
    if (client.busy) {
      client.running.result->wait();
    }
    manager_.close(client.session);
  }
}

void Clients::prepare(Client& client) {
  const bool hits = std::bernoulli_distribution(shape_.hit_share)(ids_.random());
  client.next = ids_.draw(shape_.request_tokens);
  if (!on_) {
    return;
  }
  const auto lucky = std::uniform_int_distribution<std::int32_t>(0, shape_.guesses - 1)(ids_.random());
  for (std::int32_t i = 0; i < shape_.guesses; ++i) {
    Anticipation guess;
    guess.kind = AnticipationKind::tool_result;
    guess.tokens = hits && i == lucky ? client.next : ids_.draw(shape_.request_tokens);
    guess.weight = 1.0 / shape_.guesses;
    if (shape_.durable) {
      manager_.anticipate(client.session, guess);
    } else if (manager_.state(client.session).entries.size() < static_cast<std::size_t>(shape_.guesses)) {
      manager_.anticipate(client.session, guess);  // stands until the session's end: nothing is committed
    }
  }
}

void Clients::send(std::size_t index, TimePoint wanted_at) {
  Client& client = clients_.at(index);
  TurnRequest request = plain_turn(manager_.executor()->info(), client.next, shape_.answer_tokens);
  request.durable = shape_.durable;
  request.use_entries = on_;
  client.running = {index, wanted_at,
                    std::make_shared<TimedTurn>(static_cast<std::size_t>(shape_.answer_tokens), [line = ended_, index] {
                      const std::lock_guard lock(line->mutex);
                      line->clients.push_back(index);
                      line->changed.notify_all();
                    })};
  client.busy = true;
  manager_.turn(client.session, std::move(request), client.running.result);
}

std::optional<std::size_t> Clients::pick_free() {
  std::vector<std::size_t> free;
  for (std::size_t i = 0; i < clients_.size(); ++i) {
    if (!clients_[i].busy) {
      free.push_back(i);
    }
  }
  if (free.empty()) {
    return std::nullopt;
  }
  return free[std::uniform_int_distribution<std::size_t>(0, free.size() - 1)(ids_.random())];
}

std::optional<ClientTurn> Clients::take_ended(TimePoint until) {
  std::size_t index = 0;
  {
    std::unique_lock lock(ended_->mutex);
    const std::chrono::steady_clock::time_point deadline{until};
    if (!ended_->changed.wait_until(lock, deadline, [this] { return !ended_->clients.empty(); })) {
      return std::nullopt;
    }
    index = ended_->clients.front();
    ended_->clients.pop_front();
  }
  Client& client = clients_[index];
  client.busy = false;
  if (client.running.result->end.reason == FinishReason::error) {
    throw ExecutorError("a turn of the benchmark failed: " + client.running.result->end.error);
  }
  prepare(client);
  return client.running;
}

}  // namespace poise::bench
