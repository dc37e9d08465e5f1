/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * export.h - what the library shows. The Makefile includes it ahead of every engine file: the
 * library is compiled with -fvisibility=hidden, and what daxkv.h declares, nothing else, is visible
 * outside.
 */
#ifndef DAXKV_EXPORT_H
#define DAXKV_EXPORT_H

#pragma GCC visibility push(default)
#include "daxkv.h"
#pragma GCC visibility pop

#endif
