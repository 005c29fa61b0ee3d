/* SPDX-License-Identifier: MIT */
/* The checksum of firmware tables: all bytes of a table sum to 0. */
#pragma once

#include "base/types.h"

/* What the checksum byte, now 0, has to be. */
static inline u8 checksum8(const u8 *data, size_t size)
{
    u8 sum = 0;

    for (size_t i = 0; i < size; i++)
        sum = (u8)(sum + data[i]);
    return (u8)-sum;
}
