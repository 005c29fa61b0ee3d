/* SPDX-License-Identifier: MIT */
/* Integer work: arithmetic, branches, calls, an interpreter, sorting, parsing, division. */
#include <string.h>

#include "bench.h"

/* Chains of dependent instructions, nothing in memory. */
static u64 run_alu(u64 n)
{
    u64 a = 12345, b = 67890, c = 1;

    while (n--) {
        a += b;
        b ^= a >> 7;
        c = (c << 5 | c >> 59) - a;
        b = b * 3 + c;
        a &= ~(c >> 3);
    }
    return a ^ b ^ c;
}

/* Branches that no predictor foresees. */
static u64 run_branches(u64 n)
{
    u64 state = 88172645463325252u, sum = 0;

    while (n--) {
        u64 r = random_next(&state);

        if (r & 1)
            sum += r;
        else
            sum ^= 0x55;
        KEEP(sum);
        if (r & 0x100)
            sum *= 3;
        KEEP(sum);
    }
    return sum;
}

static NOINLINE u64 fibonacci(u64 n)
{
    u64 v;

    if (n < 2)
        return n;
    v = fibonacci(n - 1);
    KEEP(v);
    return v + fibonacci(n - 2);
}

static u64 run_calls(u64 n)
{
    u64 sum = 0;

    while (n--)
        sum = mix(sum, fibonacci(12));
    return sum;
}

static NOINLINE u64 leaf_add(u64 v)
{
    return v + 3;
}

static NOINLINE u64 leaf_xor(u64 v)
{
    return v ^ 0xA5A5;
}

static NOINLINE u64 leaf_multiply(u64 v)
{
    return v * 5;
}

static NOINLINE u64 leaf_rotate(u64 v)
{
    return v << 9 | v >> 55;
}

/* Calls through a table, the target different each time. */
static u64 run_indirect(u64 n)
{
    static u64 (*const leaves[])(u64) = { leaf_add, leaf_xor, leaf_multiply, leaf_rotate };
    u64 (*const *table)(u64) = leaves;
    u64 sum = 1;

    KEEP(table);
    while (n--)
        sum = table[(sum >> 11 ^ n) & 3](sum);
    return sum;
}

/* A little stack machine: the indirect jumps of an interpreter's loop. */
enum opcode { OP_PUSH, OP_ADD, OP_SUB, OP_DUP, OP_SWAP, OP_XOR, OP_DROP, OP_LOOP };

static const u8 machine_program[] = { OP_PUSH, 7,      OP_ADD,  OP_DUP, OP_PUSH,
                                      3,       OP_XOR, OP_SUB,  OP_DUP, OP_ADD,
                                      OP_PUSH, 11,     OP_SWAP, OP_SUB, OP_LOOP };

static u64 run_interpreter(u64 n)
{
    const u8 *pc = machine_program;
    u64 stack[16] = { 1 };
    unsigned top = 0;
    u64 t;

    while (n) {
        switch ((enum opcode) * pc++) {
        case OP_PUSH: stack[++top & 15] = *pc++; break;
        case OP_ADD:
            t = stack[top & 15];
            stack[--top & 15] += t;
            break;
        case OP_SUB:
            t = stack[top & 15];
            stack[--top & 15] -= t;
            break;
        case OP_DUP:
            t = stack[top & 15];
            stack[++top & 15] = t;
            break;
        case OP_SWAP:
            t = stack[top & 15];
            stack[top & 15] = stack[(top - 1) & 15];
            stack[(top - 1) & 15] = t;
            break;
        case OP_XOR:
            t = stack[top & 15];
            stack[--top & 15] ^= t;
            break;
        case OP_DROP: top--; break;
        case OP_LOOP:
            pc = machine_program;
            n--;
            break;
        }
    }
    return stack[top & 15];
}

#define SORT_COUNT 512

static u32 sort_values[SORT_COUNT];

static void sort_fill(u64 seed)
{
    for (unsigned i = 0; i < SORT_COUNT; i++)
        sort_values[i] = (u32)random_next(&seed);
}

static void sort_range(u32 *v, long low, long high)
{
    while (low < high) {
        u32 pivot = v[(low + high) / 2];
        long i = low, j = high;

        while (i <= j) {
            while (v[i] < pivot)
                i++;
            while (v[j] > pivot)
                j--;
            if (i <= j) {
                u32 t = v[i];

                v[i++] = v[j];
                v[j--] = t;
            }
        }
        sort_range(v, low, j);
        low = i;
    }
}

static u64 run_sort(u64 n)
{
    u64 sum = 0;

    while (n--) {
        sort_fill(n + 1);
        sort_range(sort_values, 0, SORT_COUNT - 1);
        sum = mix(sum, sort_values[SORT_COUNT / 2]);
    }
    return sum;
}

static const char parse_text[] =
    "{\"name\": \"a guest\", \"memory\": 536870912, \"cpus\": 2, \"disks\": [{\"id\": \"root\", "
    "\"size\": 10737418240, \"ro\": false}, {\"id\": \"data\", \"size\": -17, \"ro\": true}], "
    "\"kernel\": {\"path\": \"/boot/vmlinuz\", \"args\": \"console=ttyS0 quiet\"}, \"load\": 3.25}";

/* Characters to tokens: numbers are added up, words hashed. */
static u64 parse_token(const char **at, u64 sum)
{
    const char *p = *at;
    u64 v = 0;

    if (*p >= '0' && *p <= '9') {
        while (*p >= '0' && *p <= '9')
            v = v * 10 + (u64)(*p++ - '0');
    } else if (*p == '"') {
        for (p++; *p && *p != '"'; p++)
            v = v * 31 + (u8)*p;
        p += *p == '"';
    } else {
        v = (u8)*p++;
    }
    *at = p;
    return mix(sum, v);
}

static u64 run_parse(u64 n)
{
    u64 sum = 0;

    while (n--) {
        const char *at = parse_text;

        while (*at) {
            if (*at == ' ')
                at++;
            else
                sum = parse_token(&at, sum);
        }
    }
    return sum;
}

static u64 run_divide(u64 n)
{
    u64 sum = 0, v = 0x123456789ABCDEFu;

    while (n--) {
        u64 d = (n & 0xFFFF) + 3;

        KEEP(d);
        sum += v / d + v % d;
        v += 0x1000001;
    }
    return sum;
}

/* A checksum of a bit a step, as in boot loaders. */
static u64 run_crc_bits(u64 n)
{
    u32 crc = 0xFFFFFFFFu;

    while (n--) {
        crc ^= (u8)n;
        for (unsigned i = 0; i < 8; i++)
            crc = crc >> 1 ^ (0xEDB88320u & -(crc & 1));
    }
    return crc;
}

const struct subtest integer_tests[] = {
    { "alu", run_alu, 1000, NULL, NULL, 0 },
    { "branches", run_branches, 1000, NULL, NULL, 0 },
    { "calls", run_calls, 10, NULL, NULL, 0 },
    { "indirect-calls", run_indirect, 1000, NULL, NULL, 0 },
    { "interpreter", run_interpreter, 1000, NULL, NULL, 0 },
    { "sort", run_sort, 10, NULL, NULL, 0 },
    { "parse", run_parse, 10, NULL, NULL, 0 },
    { "divide", run_divide, 1000, NULL, NULL, 0 },
    { "crc-bits", run_crc_bits, 1000, NULL, NULL, 0 },
    { NULL, NULL, 0, NULL, NULL, 0 },
};
