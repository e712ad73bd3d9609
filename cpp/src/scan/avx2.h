// 16 lanes as two AVX2 registers. Include only in a file compiled for AVX2, FMA and POPCNT.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace {

struct Avx2 {
  struct Floats {
    __m256 lo, hi;
  };
  struct Ints {
    __m256i lo, hi;
  };
  struct Doubles {
    __m256d lo, hi;
  };

  static Floats load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
  static void store(float* p, Floats a) {
    _mm256_storeu_ps(p, a.lo);
    _mm256_storeu_ps(p + 8, a.hi);
  }
  static Floats set(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
  static Floats add(Floats a, Floats b) { return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)}; }
  static Floats sub(Floats a, Floats b) { return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)}; }
  static Floats mul(Floats a, Floats b) { return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)}; }
  static Floats fma(Floats a, Floats b, Floats c) {
    return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
  }
  /// a > b ? a : b, hence b where either is not a number.
  static Floats max(Floats a, Floats b) { return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)}; }
  static Floats min(Floats a, Floats b) { return {_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)}; }
  static float max_lane(Floats a) {
    const __m256 eight = _mm256_max_ps(a.lo, a.hi);
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    four = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
  }
  /// Adds the bits of `n` from bit 23 on: a * 2^k where the low bits of `n` hold k.
  static Floats scale(Floats a, Floats n) { return {scale(a.lo, n.lo), scale(a.hi, n.hi)}; }
  static Ints truncate(Floats a) { return {_mm256_cvttps_epi32(a.lo), _mm256_cvttps_epi32(a.hi)}; }
  static void store(std::int32_t* p, Ints a) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), a.lo);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + 8), a.hi);
  }
  static std::uint32_t at_least(Floats a, Floats b) {
    return bits(_mm256_cmp_ps(a.lo, b.lo, _CMP_GE_OQ), _mm256_cmp_ps(a.hi, b.hi, _CMP_GE_OQ));
  }
  static std::uint32_t equal(Floats a, Floats b) {
    return bits(_mm256_cmp_ps(a.lo, b.lo, _CMP_EQ_OQ), _mm256_cmp_ps(a.hi, b.hi, _CMP_EQ_OQ));
  }
  static std::uint32_t equal(Ints a, std::int32_t b) {
    const __m256i wanted = _mm256_set1_epi32(b);
    return bits(_mm256_castsi256_ps(_mm256_cmpeq_epi32(a.lo, wanted)),
                _mm256_castsi256_ps(_mm256_cmpeq_epi32(a.hi, wanted)));
  }
  /// a where the bit is set, b elsewhere.
  static Floats select(std::uint32_t set, Floats a, Floats b) {
    return {select(set, a.lo, b.lo), select(set >> 8U, a.hi, b.hi)};
  }
  static Doubles zero() { return {_mm256_setzero_pd(), _mm256_setzero_pd()}; }
  static Doubles mul(Doubles a, double x) {
    const __m256d factor = _mm256_set1_pd(x);
    return {_mm256_mul_pd(a.lo, factor), _mm256_mul_pd(a.hi, factor)};
  }
  static Doubles add(Doubles a, Doubles b) { return {_mm256_add_pd(a.lo, b.lo), _mm256_add_pd(a.hi, b.hi)}; }
  /// Lane i of the result is lane i plus lane i + 8, in double.
  static Doubles widen(Floats a) {
    return {_mm256_add_pd(_mm256_cvtps_pd(_mm256_castps256_ps128(a.lo)), _mm256_cvtps_pd(_mm256_castps256_ps128(a.hi))),
            _mm256_add_pd(_mm256_cvtps_pd(_mm256_extractf128_ps(a.lo, 1)),
                          _mm256_cvtps_pd(_mm256_extractf128_ps(a.hi, 1)))};
  }
  static void store(double* p, Doubles a) {
    _mm256_storeu_pd(p, a.lo);
    _mm256_storeu_pd(p + 4, a.hi);
  }
  static std::size_t popcount(std::uint64_t word) { return static_cast<std::size_t>(__builtin_popcountll(word)); }

 private:
  static __m256 scale(__m256 a, __m256 n) {
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a), _mm256_slli_epi32(_mm256_castps_si256(n), 23)));
  }
  static std::uint32_t bits(__m256 lo, __m256 hi) {
    return static_cast<std::uint32_t>(_mm256_movemask_ps(lo)) | static_cast<std::uint32_t>(_mm256_movemask_ps(hi))
                                                                    << 8U;
  }
  static __m256 select(std::uint32_t set, __m256 a, __m256 b) {
    const __m256i lane_bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    const __m256i chosen = _mm256_and_si256(_mm256_set1_epi32(static_cast<std::int32_t>(set & 0xFFU)), lane_bit);
    return _mm256_blendv_ps(b, a, _mm256_castsi256_ps(_mm256_cmpeq_epi32(chosen, lane_bit)));
  }
};

}  // namespace
