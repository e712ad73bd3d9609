// A binary heap whose elements can be found, re-ranked and removed by id.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

namespace poise::idle {

/// Where each id stands in the one heap that holds it. Heaps that never share an id may share one of these,
/// so that many small heaps cost memory for their elements only.
class HeapPlaces {
 public:
  static constexpr std::uint32_t kNowhere = std::numeric_limits<std::uint32_t>::max();

  [[nodiscard]] std::uint32_t of(std::uint32_t id) const noexcept {
    return id < places_.size() ? places_[id] : kNowhere;
  }
  void set(std::uint32_t id, std::uint32_t place) {
    if (id >= places_.size()) places_.resize(static_cast<std::size_t>(id) + 1U, kNowhere);
    places_[id] = place;
  }

 private:
  std::vector<std::uint32_t> places_;
};

/// `Key` has `bool before(const Key&) const`, a strict order. Every operation but top() is O(log n).
template <typename Key>
class IndexedHeap {
 public:
  explicit IndexedHeap(HeapPlaces* places) : places_(places) {}

  [[nodiscard]] bool empty() const noexcept { return nodes_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return nodes_.size(); }
  [[nodiscard]] std::uint32_t top() const noexcept { return nodes_.front().id; }
  [[nodiscard]] const Key& top_key() const noexcept { return nodes_.front().key; }
  [[nodiscard]] bool contains(std::uint32_t id) const noexcept {
    const std::uint32_t place = places_->of(id);
    return place < nodes_.size() && nodes_[place].id == id;
  }

  /// Inserts the id, or gives it a new key.
  void put(std::uint32_t id, const Key& key) {
    std::size_t place = places_->of(id);
    if (place == HeapPlaces::kNowhere) {
      place = nodes_.size();
      nodes_.push_back({key, id});
    } else {
      nodes_[place].key = key;
    }
    sink(rise(place));
  }

  /// Does nothing if the id is not here.
  void erase(std::uint32_t id) {
    if (!contains(id)) return;
    const std::size_t place = places_->of(id);
    const Node last = nodes_.back();
    nodes_.pop_back();
    places_->set(id, HeapPlaces::kNowhere);
    if (last.id == id) return;
    nodes_[place] = last;
    sink(rise(place));
  }

 private:
  struct Node {
    Key key;
    std::uint32_t id;
  };

  std::size_t rise(std::size_t place) {
    const Node node = nodes_[place];
    while (place > 0) {
      const std::size_t parent = (place - 1) / 2;
      if (!node.key.before(nodes_[parent].key)) break;
      move(nodes_[parent], place);
      place = parent;
    }
    move(node, place);
    return place;
  }

  void sink(std::size_t place) {
    const Node node = nodes_[place];
    for (;;) {
      std::size_t child = 2 * place + 1;
      if (child >= nodes_.size()) break;
      if (child + 1 < nodes_.size() && nodes_[child + 1].key.before(nodes_[child].key)) ++child;
      if (!nodes_[child].key.before(node.key)) break;
      move(nodes_[child], place);
      place = child;
    }
    move(node, place);
  }

  void move(const Node& node, std::size_t place) {
    nodes_[place] = node;
    places_->set(node.id, static_cast<std::uint32_t>(place));
  }

  std::vector<Node> nodes_;
  HeapPlaces* places_;
};

}  // namespace poise::idle
