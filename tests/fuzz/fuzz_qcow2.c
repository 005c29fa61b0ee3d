/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a qcow2 image: opening, reading and writing stay within bounds and end.
 *
 * Input: the file. With -DFUZZ_MAIN, a smoke run.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/mem.h"
#include "fuzz/smoke.h"
#include "host/block_node.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_requests(struct block_node *node)
{
    static u8 buffer[8192];
    struct iovec iov = { buffer, sizeof(buffer) };
    struct block_span span = { &iov, 1, 0 };
    u64 end = node->size > sizeof(buffer) ? node->size - sizeof(buffer) : 0;

    if (node->size < sizeof(buffer))
        return;
    memset(buffer, 0x5A, sizeof(buffer));
    node->ops->read(node, 0, span, sizeof(buffer));
    node->ops->read(node, end, span, sizeof(buffer));
    node->ops->write(node, 512, span, 1024);
    node->ops->write(node, end, span, sizeof(buffer));
    node->ops->zero(node, 0, sizeof(buffer), true);
    node->ops->discard(node, 0, sizeof(buffer));
    node->ops->flush(node);
    node->ops->read(node, 0, span, sizeof(buffer));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct block_config config = { .file = NULL };
    struct block_file file = {
        .fd = memfd_create("fuzz", MFD_CLOEXEC), .align = 1, .size = size, .no_flush = true
    };
    struct block_node *node;
    struct error err;

    pthread_mutex_init(&file.mutex, NULL);
    file.name = xstrdup("/nosuch/fuzz");
    if (file.fd < 0 || block_file_write(&file, 0, data, size)) {
        block_file_close(&file);
        return 0;
    }
    node = block_qcow2_open(&config, &file, BLOCK_DEPTH_MAX, &err);
    if (!node)
        return 0;
    fuzz_requests(node);
    node->ops->close(node);
    return 0;
}

#ifdef FUZZ_MAIN
#define FUZZ_ROUNDS  50000
#define FUZZ_CLUSTER 512u

/* Clusters: header, refcount table, refcount block, L1, L2, data, compressed data. */
static void fuzz_seed(u8 *seed)
{
    store_be32(seed, BLOCK_QCOW2_MAGIC);
    store_be32(seed + 4, 3);
    store_be32(seed + 20, 9);
    store_be64(seed + 24, 65536);
    store_be32(seed + 36, 2);
    store_be64(seed + 40, (u64)3 * FUZZ_CLUSTER);
    store_be64(seed + 48, FUZZ_CLUSTER);
    store_be32(seed + 56, 1);
    store_be32(seed + 96, 4);
    store_be32(seed + 100, 104);
    store_be64(seed + FUZZ_CLUSTER, (u64)2 * FUZZ_CLUSTER);
    for (unsigned i = 0; i < 7; i++)
        store_be16(seed + 2 * FUZZ_CLUSTER + i * 2, 1);
    store_be64(seed + 3 * FUZZ_CLUSTER, 4 * FUZZ_CLUSTER | BIT64(63));
    store_be64(seed + 4 * FUZZ_CLUSTER, 5 * FUZZ_CLUSTER | BIT64(63));
    store_be64(seed + 4 * FUZZ_CLUSTER + 8, 6 * FUZZ_CLUSTER | BIT64(62));
    store_be64(seed + 4 * FUZZ_CLUSTER + 16, 1);
}

int main(void)
{
    struct smoke smoke = { 88172645463325252 };
    static u8 seed[7 * FUZZ_CLUSTER];

    /* What a corrupt image is told about is not wanted here, thousands of times. */
    if (!freopen("/dev/null", "w", stderr))
        return 1;
    fuzz_seed(seed);
    smoke_run(&smoke, LLVMFuzzerTestOneInput, seed, sizeof(seed), 128, FUZZ_ROUNDS);
    printf("%u inputs\n", FUZZ_ROUNDS);
    return 0;
}
#endif
