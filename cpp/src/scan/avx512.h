// 16 lanes as one AVX-512 register. Include only in a file compiled for AVX-512 F and DQ, and POPCNT.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace {

struct Avx512 {
  using Floats = __m512;
  using Ints = __m512i;
  using Doubles = __m512d;

  static Floats load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, Floats a) { _mm512_storeu_ps(p, a); }
  static Floats set(float x) { return _mm512_set1_ps(x); }
  static Floats add(Floats a, Floats b) { return _mm512_add_ps(a, b); }
  static Floats sub(Floats a, Floats b) { return _mm512_sub_ps(a, b); }
  static Floats mul(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
  static Floats fma(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
  /// a > b ? a : b, hence b where either is not a number.
  static Floats max(Floats a, Floats b) { return _mm512_max_ps(a, b); }
  static Floats min(Floats a, Floats b) { return _mm512_min_ps(a, b); }
  static float max_lane(Floats a) { return _mm512_reduce_max_ps(a); }
  /// Adds the bits of `n` from bit 23 on: a * 2^k where the low bits of `n` hold k.
  static Floats scale(Floats a, Floats n) {
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(a), _mm512_slli_epi32(_mm512_castps_si512(n), 23)));
  }
  static Ints truncate(Floats a) { return _mm512_cvttps_epi32(a); }
  static void store(std::int32_t* p, Ints a) { _mm512_storeu_si512(p, a); }
  static std::uint32_t at_least(Floats a, Floats b) { return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ); }
  static std::uint32_t equal(Floats a, Floats b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
  static std::uint32_t equal(Ints a, std::int32_t b) { return _mm512_cmpeq_epi32_mask(a, _mm512_set1_epi32(b)); }
  /// a where the bit is set, b elsewhere.
  static Floats select(std::uint32_t set, Floats a, Floats b) {
    return _mm512_mask_blend_ps(static_cast<__mmask16>(set & 0xFFFFU), b, a);
  }
  static Doubles zero() { return _mm512_setzero_pd(); }
  static Doubles mul(Doubles a, double x) { return _mm512_mul_pd(a, _mm512_set1_pd(x)); }
  static Doubles add(Doubles a, Doubles b) { return _mm512_add_pd(a, b); }
  /// Lane i of the result is lane i plus lane i + 8, in double.
  static Doubles widen(Floats a) {
    return _mm512_add_pd(_mm512_cvtps_pd(_mm512_castps512_ps256(a)), _mm512_cvtps_pd(_mm512_extractf32x8_ps(a, 1)));
  }
  static void store(double* p, Doubles a) { _mm512_storeu_pd(p, a); }
  static std::size_t popcount(std::uint64_t word) { return static_cast<std::size_t>(__builtin_popcountll(word)); }
};

}  // namespace
