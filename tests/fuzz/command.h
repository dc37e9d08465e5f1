/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * command.h - the kv command as a function.
 */
#ifndef DAXKV_TEST_COMMAND_H
#define DAXKV_TEST_COMMAND_H

#include "sample.h"

/* command_run - kv with these arguments, NULL at the end; its exit status. What it prints goes to
 * output (NULL: nowhere). */
int command_run(const char *const arguments[], const struct memfile *output);

#endif
