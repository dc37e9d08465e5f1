/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * commands.h - the table of the commands, and what is told of them.
 */
#ifndef DAXKV_CLI_COMMANDS_H
#define DAXKV_CLI_COMMANDS_H

#include <stdio.h>

#include "cli.h"

/* command_find - the command of that name, or NULL. command_next - the one behind it in the table,
 * the first for NULL; NULL: there is none. */
const struct command *command_find(const char *name);
const struct command *command_next(const struct command *command);

/* command_meant - the command that a name which is none may mean, or NULL. */
const char *command_meant(const char *name);

/* command_missing - print that there is no command of that name, and what may be meant. Returns
 * EXIT_USAGE. */
int command_missing(const struct call *call, const char *name);

/* command_usage - the list of all. command_help - what one does; session: on a line of one
 * (session.h), without FILE. command_operands - the operands, as help shows them. */
void command_usage(FILE *out);
void command_help(const struct command *command, bool session);
const char *command_operands(const struct command *command, bool session);

#endif
