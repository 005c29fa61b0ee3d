/* SPDX-License-Identifier: MIT */
/* Hashes and ciphers: SHA-256 (FIPS 180-4), ChaCha20 (RFC 8439), AES-128 and CRC32C by their instructions. */
#include <immintrin.h>
#include <string.h>

#include "bench.h"

static const u32 sha_k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static u32 rotate_right(u32 v, unsigned by)
{
    return v >> by | v << (32 - by);
}

static u32 rotate_left(u32 v, unsigned by)
{
    return v << by | v >> (32 - by);
}

static void sha_expand(u32 w[64], const u8 *block)
{
    for (unsigned i = 0; i < 16; i++) {
        memcpy(&w[i], block + i * 4, 4);
        w[i] = __builtin_bswap32(w[i]);
    }
    for (unsigned i = 16; i < 64; i++) {
        u32 a = w[i - 15], b = w[i - 2];

        w[i] = w[i - 16] + (rotate_right(a, 7) ^ rotate_right(a, 18) ^ a >> 3) + w[i - 7] +
               (rotate_right(b, 17) ^ rotate_right(b, 19) ^ b >> 10);
    }
}

static NOINLINE void sha_block(u32 state[8], const u8 *block)
{
    u32 w[64], v[8];

    sha_expand(w, block);
    memcpy(v, state, sizeof(v));
    for (unsigned i = 0; i < 64; i++) {
        u32 s1 = rotate_right(v[4], 6) ^ rotate_right(v[4], 11) ^ rotate_right(v[4], 25);
        u32 s0 = rotate_right(v[0], 2) ^ rotate_right(v[0], 13) ^ rotate_right(v[0], 22);
        u32 t1 = v[7] + s1 + ((v[4] & v[5]) ^ (~v[4] & v[6])) + sha_k[i] + w[i];
        u32 t2 = s0 + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));

        v[7] = v[6];
        v[6] = v[5];
        v[5] = v[4];
        v[4] = v[3] + t1;
        v[3] = v[2];
        v[2] = v[1];
        v[1] = v[0];
        v[0] = t1 + t2;
    }
    for (unsigned i = 0; i < 8; i++)
        state[i] += v[i];
}

static void setup_text(void)
{
    u64 seed = 3;

    for (u32 i = 0; i < 65536; i += 8)
        *(u64 *)(void *)(arena + i) = random_next(&seed);
}

static u64 run_sha256(u64 n)
{
    u32 state[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                     0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };

    while (n--)
        sha_block(state, arena + (n & 1023) * 64);
    return (u64)state[0] << 32 | state[7];
}

static void chacha_quarter(u32 *x, unsigned a, unsigned b, unsigned c, unsigned d)
{
    x[a] += x[b];
    x[d] = rotate_left(x[d] ^ x[a], 16);
    x[c] += x[d];
    x[b] = rotate_left(x[b] ^ x[c], 12);
    x[a] += x[b];
    x[d] = rotate_left(x[d] ^ x[a], 8);
    x[c] += x[d];
    x[b] = rotate_left(x[b] ^ x[c], 7);
}

static NOINLINE u32 chacha_block(const u32 input[16])
{
    u32 x[16], sum = 0;

    memcpy(x, input, sizeof(x));
    for (unsigned i = 0; i < 10; i++) {
        for (unsigned j = 0; j < 4; j++)
            chacha_quarter(x, j, j + 4, j + 8, j + 12);
        for (unsigned j = 0; j < 4; j++)
            chacha_quarter(x, j, 4 + (j + 1) % 4, 8 + (j + 2) % 4, 12 + (j + 3) % 4);
    }
    for (unsigned i = 0; i < 16; i++)
        sum = rotate_left(sum, 1) ^ (x[i] + input[i]);
    return sum;
}

static u64 run_chacha20(u64 n)
{
    u32 input[16] = { 0x61707865, 0x3320646e, 0x79622d32, 0x6b206574, 1, 2, 3, 4, 5, 6, 7, 8 };
    u64 sum = 0;

    while (n--) {
        input[12]++;
        sum = mix(sum, chacha_block(input));
    }
    return sum;
}

static bool able_aes(void)
{
    return __builtin_cpu_supports("aes");
}

__attribute__((target("aes"))) static u64 run_aes(u64 n)
{
    __m128i key = _mm_set_epi32(1, 2, 3, 4), x = _mm_setzero_si128();

    while (n--) {
        x = _mm_xor_si128(x,
                          _mm_load_si128((const __m128i *)(const void *)(arena + (n & 4095) * 16)));
        for (unsigned round = 0; round < 9; round++)
            x = _mm_aesenc_si128(x, key);
        x = _mm_aesenclast_si128(x, key);
    }
    return (u64)_mm_cvtsi128_si64(x);
}

static bool able_crc(void)
{
    return __builtin_cpu_supports("sse4.2");
}

__attribute__((target("sse4.2"))) static u64 run_crc32c(u64 n)
{
    u64 crc = 0xFFFFFFFFu;

    while (n--)
        crc = _mm_crc32_u64(crc, *(const u64 *)(const void *)(arena + (n & 8191) * 8));
    return crc;
}

const struct subtest crypto_tests[] = {
    { "sha256", run_sha256, 10, setup_text, NULL, 64 },
    { "chacha20", run_chacha20, 10, NULL, NULL, 64 },
    { "aes-ni", run_aes, 100, setup_text, able_aes, 16 },
    { "crc32c", run_crc32c, 1000, setup_text, able_crc, 8 },
    { NULL, NULL, 0, NULL, NULL, 0 },
};
