// 16 lanes in plain C++; the compiler vectorises what it can.
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace {

struct Portable {
  struct Floats {
    float v[16];
  };
  struct Ints {
    std::int32_t v[16];
  };
  struct Doubles {
    double v[8];
  };

  template <typename Function>
  static Floats each(Function f) {
    Floats out;
    for (std::size_t i = 0; i < 16; ++i) {
      out.v[i] = f(i);
    }
    return out;
  }

  static Floats load(const float* p) {
    return each([p](std::size_t i) { return p[i]; });
  }
  static void store(float* p, const Floats& a) {
    for (std::size_t i = 0; i < 16; ++i) {
      p[i] = a.v[i];
    }
  }
  static Floats set(float x) {
    return each([x](std::size_t) { return x; });
  }
  static Floats add(const Floats& a, const Floats& b) {
    return each([&](std::size_t i) { return a.v[i] + b.v[i]; });
  }
  static Floats sub(const Floats& a, const Floats& b) {
    return each([&](std::size_t i) { return a.v[i] - b.v[i]; });
  }
  static Floats mul(const Floats& a, const Floats& b) {
    return each([&](std::size_t i) { return a.v[i] * b.v[i]; });
  }
  /// a * b + c. Without hardware for it in double: rounded twice, so once in about 2^28 operations the last bit differs.
  static Floats fma(const Floats& a, const Floats& b, const Floats& c) {
#ifdef FP_FAST_FMAF
    return each([&](std::size_t i) { return std::fma(a.v[i], b.v[i], c.v[i]); });
#else
    return each([&](std::size_t i) {
      return static_cast<float>(static_cast<double>(a.v[i]) * static_cast<double>(b.v[i]) +
                                static_cast<double>(c.v[i]));
    });
#endif
  }
  /// a > b ? a : b, hence b where either is not a number.
  static Floats max(const Floats& a, const Floats& b) {
    return each([&](std::size_t i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
  }
  static Floats min(const Floats& a, const Floats& b) {
    return each([&](std::size_t i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; });
  }
  static float max_lane(const Floats& a) {
    float best = a.v[0];
    for (std::size_t i = 1; i < 16; ++i) {
      best = a.v[i] > best ? a.v[i] : best;
    }
    return best;
  }
  /// Adds the bits of `n` from bit 23 on: a * 2^k where the low bits of `n` hold k.
  static Floats scale(const Floats& a, const Floats& n) {
    return each([&](std::size_t i) {
      return std::bit_cast<float>(std::bit_cast<std::uint32_t>(a.v[i]) + (std::bit_cast<std::uint32_t>(n.v[i]) << 23U));
    });
  }
  static Ints truncate(const Floats& a) {
    Ints out;
    for (std::size_t i = 0; i < 16; ++i) {
      out.v[i] = static_cast<std::int32_t>(a.v[i]);
    }
    return out;
  }
  static void store(std::int32_t* p, const Ints& a) {
    for (std::size_t i = 0; i < 16; ++i) {
      p[i] = a.v[i];
    }
  }
  static std::uint32_t at_least(const Floats& a, const Floats& b) {
    std::uint32_t bits = 0;
    for (std::size_t i = 0; i < 16; ++i) {
      bits |= static_cast<std::uint32_t>(a.v[i] >= b.v[i]) << i;
    }
    return bits;
  }
  static std::uint32_t equal(const Floats& a, const Floats& b) {
    std::uint32_t bits = 0;
    for (std::size_t i = 0; i < 16; ++i) {
      bits |= static_cast<std::uint32_t>(a.v[i] == b.v[i]) << i;
    }
    return bits;
  }
  static std::uint32_t equal(const Ints& a, std::int32_t b) {
    std::uint32_t bits = 0;
    for (std::size_t i = 0; i < 16; ++i) {
      bits |= static_cast<std::uint32_t>(a.v[i] == b) << i;
    }
    return bits;
  }
  /// a where the bit is set, b elsewhere.
  static Floats select(std::uint32_t bits, const Floats& a, const Floats& b) {
    return each([&](std::size_t i) { return ((bits >> i) & 1U) != 0 ? a.v[i] : b.v[i]; });
  }
  static Doubles zero() { return Doubles{}; }
  static Doubles mul(const Doubles& a, double x) {
    Doubles out;
    for (std::size_t i = 0; i < 8; ++i) {
      out.v[i] = a.v[i] * x;
    }
    return out;
  }
  static Doubles add(const Doubles& a, const Doubles& b) {
    Doubles out;
    for (std::size_t i = 0; i < 8; ++i) {
      out.v[i] = a.v[i] + b.v[i];
    }
    return out;
  }
  /// Lane i of the result is lane i plus lane i + 8, in double.
  static Doubles widen(const Floats& a) {
    Doubles out;
    for (std::size_t i = 0; i < 8; ++i) {
      out.v[i] = static_cast<double>(a.v[i]) + static_cast<double>(a.v[i + 8]);
    }
    return out;
  }
  static void store(double* p, const Doubles& a) {
    for (std::size_t i = 0; i < 8; ++i) {
      p[i] = a.v[i];
    }
  }
  static std::size_t popcount(std::uint64_t word) { return static_cast<std::size_t>(std::popcount(word)); }
};

}  // namespace
