/* SPDX-License-Identifier: MIT */
/* Floating point: scalar and vector SSE2, AVX2 with FMA, x87, division, conversion. */
#include <immintrin.h>
#include <string.h>

#include "bench.h"

static u64 bits_of(double v)
{
    u64 bits;

    memcpy(&bits, &v, sizeof(bits));
    return bits;
}

static u64 run_scalar(u64 n)
{
    double x = 1.0, y = 0.5, z = 0.25;

    while (n--) {
        x = x * 0.999999 + y;
        y = y * 0.5 + z;
        z = z - x * 1e-9;
    }
    return bits_of(x + y + z);
}

static u64 run_divide(u64 n)
{
    double x = 1.0, sum = 0;

    while (n--) {
        sum += 1.0 / x;
        x += 1.0;
    }
    return bits_of(sum);
}

static u64 run_sqrt(u64 n)
{
    __m128d x = _mm_set_sd(2.0), sum = _mm_setzero_pd();

    while (n--) {
        x = _mm_add_sd(x, _mm_set_sd(1.0));
        sum = _mm_add_sd(sum, _mm_sqrt_sd(x, x));
    }
    return bits_of(_mm_cvtsd_f64(sum));
}

static u64 run_convert(u64 n)
{
    double sum = 0;
    u64 whole = 0;

    while (n--) {
        sum += (double)(int64_t)n * 0.75;
        whole += (u64)(int64_t)sum;
        sum = (double)(float)sum;
        if (sum > 1e12)
            sum = 0;
    }
    return whole;
}

static u64 run_compare(u64 n)
{
    double low = -1.0, high = 1.0, x = 0.3;
    u64 count = 0;

    while (n--) {
        x = x * 3.7 * (1.0 - x);
        if (x < low || x > 0.5)
            count++;
        if (x >= high)
            x = 0.3;
    }
    return mix(count, bits_of(x));
}

/* Matrix product, 32 by 32, two doubles at a time. */
#define SIDE 32

static double matrix_a[SIDE][SIDE] __attribute__((aligned(64)));
static double matrix_b[SIDE][SIDE] __attribute__((aligned(64)));
static double matrix_c[SIDE][SIDE] __attribute__((aligned(64)));

static void setup_matrix(void)
{
    for (int i = 0; i < SIDE; i++) {
        for (int j = 0; j < SIDE; j++) {
            matrix_a[i][j] = (i * 7 + j) % 13;
            matrix_b[i][j] = (i + j * 5) % 11;
        }
    }
}

static u64 matrix_sum(void)
{
    double sum = 0;

    for (int i = 0; i < SIDE; i++)
        sum += matrix_c[i][(i * 5) % SIDE];
    return bits_of(sum);
}

static void matrix_sse2(void)
{
    for (int i = 0; i < SIDE; i++) {
        for (int j = 0; j < SIDE; j += 2) {
            __m128d sum = _mm_setzero_pd();

            for (int k = 0; k < SIDE; k++)
                sum = _mm_add_pd(
                    sum, _mm_mul_pd(_mm_set1_pd(matrix_a[i][k]), _mm_load_pd(&matrix_b[k][j])));
            _mm_store_pd(&matrix_c[i][j], sum);
        }
    }
}

static u64 run_matrix_sse2(u64 n)
{
    while (n--)
        matrix_sse2();
    return matrix_sum();
}

__attribute__((target("avx2,fma"))) static void matrix_avx2(void)
{
    for (int i = 0; i < SIDE; i++) {
        for (int j = 0; j < SIDE; j += 4) {
            __m256d sum = _mm256_setzero_pd();

            for (int k = 0; k < SIDE; k++)
                sum = _mm256_fmadd_pd(_mm256_set1_pd(matrix_a[i][k]),
                                      _mm256_load_pd(&matrix_b[k][j]), sum);
            _mm256_store_pd(&matrix_c[i][j], sum);
        }
    }
}

static u64 run_matrix_avx2(u64 n)
{
    while (n--)
        matrix_avx2();
    return matrix_sum();
}

static bool able_avx2_fma(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool able_avx2(void)
{
    return __builtin_cpu_supports("avx2");
}

/* Packed integers as in codecs: absolute differences, saturation, unpacking. */
static u64 run_pixels_sse2(u64 n)
{
    __m128i a = _mm_set1_epi32(0x12345678), b = _mm_set1_epi32((int)0x9ABCDEF0u);
    __m128i sum = _mm_setzero_si128();

    while (n--) {
        sum = _mm_add_epi64(sum, _mm_sad_epu8(a, b));
        a = _mm_adds_epu8(_mm_unpacklo_epi8(a, b), _mm_srli_epi16(b, 3));
        b = _mm_packus_epi16(_mm_xor_si128(a, b), _mm_shuffle_epi32(a, 0x1B));
    }
    return (u64)_mm_cvtsi128_si64(_mm_add_epi64(sum, _mm_unpackhi_epi64(sum, sum)));
}

__attribute__((target("avx2"))) static u64 run_pixels_avx2(u64 n)
{
    __m256i a = _mm256_set1_epi32(0x12345678), b = _mm256_set1_epi32((int)0x9ABCDEF0u);
    __m256i sum = _mm256_setzero_si256();

    while (n--) {
        sum = _mm256_add_epi64(sum, _mm256_sad_epu8(a, b));
        a = _mm256_adds_epu8(_mm256_unpacklo_epi8(a, b), _mm256_srli_epi16(b, 3));
        b = _mm256_permute4x64_epi64(
            _mm256_packus_epi16(_mm256_xor_si256(a, b), _mm256_shuffle_epi32(a, 0x1B)), 0x39);
    }
    return (u64)_mm256_extract_epi64(sum, 0) + (u64)_mm256_extract_epi64(sum, 2);
}

static u64 run_x87(u64 n)
{
    long double x = 1.0L, y = 0.5L;

    while (n--) {
        x = x * 0.999999L + y;
        y = y * 0.5L + 0.125L / x;
    }
    return bits_of((double)(x + y));
}

static u64 run_x87_sine(u64 n)
{
    long double x = 0.5L, sum = 0;

    while (n--) {
        long double s;

        __asm__("fsin" : "=t"(s) : "0"(x));
        sum += s;
        x = s + 0.25L;
    }
    return bits_of((double)(float)sum);
}

const struct subtest float_tests[] = {
    { "scalar", run_scalar, 1000, NULL, NULL, 0 },
    { "fp-divide", run_divide, 1000, NULL, NULL, 0 },
    { "fp-sqrt", run_sqrt, 1000, NULL, NULL, 0 },
    { "fp-convert", run_convert, 1000, NULL, NULL, 0 },
    { "fp-compare", run_compare, 1000, NULL, NULL, 0 },
    { "matrix-sse2", run_matrix_sse2, 1, setup_matrix, NULL, 0 },
    { "matrix-avx2", run_matrix_avx2, 1, setup_matrix, able_avx2_fma, 0 },
    { "pixels-sse2", run_pixels_sse2, 1000, NULL, NULL, 0 },
    { "pixels-avx2", run_pixels_avx2, 1000, NULL, able_avx2, 0 },
    { "x87", run_x87, 1000, NULL, NULL, 0 },
    { "x87-sine", run_x87_sine, 100, NULL, NULL, 0 },
    { NULL, NULL, 0, NULL, NULL, 0 },
};
