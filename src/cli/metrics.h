/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * metrics.h - kv stat --openmetrics.
 */
#ifndef DAXKV_CLI_METRICS_H
#define DAXKV_CLI_METRICS_H

#include "cli.h"

/* metrics_print - the whole report. An exit status. */
int metrics_print(struct call *call);

#endif
