/* SPDX-License-Identifier: MIT */
/* The microvm machine: struct machine with its devices. */
#pragma once

#include "base/error.h"
#include "machine/machine.h"

struct config;
struct microvm;

/*
 * Build the machine that `config` describes, ready to run. NULL and `err` (a sentence that names the option at fault)
 * when it cannot be built; nothing is left behind then.
 */
struct microvm *microvm_new(const struct config *config, struct error *err);

/* NULL is allowed. */
void microvm_free(struct microvm *vm);

struct machine *microvm_machine(struct microvm *vm);
