/* SPDX-License-Identifier: MIT */
/* The one source of guest-visible randomness. A replay replaces this function and nothing more. */
#pragma once

#include "base/types.h"

/* Fill with random bytes of the host's kernel; any thread. False when it gives none. */
bool host_random(void *data, size_t size) __attribute__((warn_unused_result));
