/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * load_tsv.c - lines of key TAB value with the escapes of bytes.h, as kv scan prints them.
 */
#include <string.h>

#include "bytes.h"
#include "load.h"

int load_tsv(struct load *load, struct load_input *input)
{
	int got;

	while ((got = load_line(load, input)) > 0) {
		struct daxkv_val key, value;
		char *tab = memchr(input->line, '\t', input->size);
		size_t key_size = tab == NULL ? 0 : (size_t)(tab - input->line);
		int status;
		if (tab == NULL)
			return load_bad_line(load, input, "there is no tab between key and value");
		if (!bytes_decode(input->line, key_size, &key) ||
		    !bytes_decode(tab + 1, input->size - key_size - 1, &value))
			return load_bad_line(load, input, "a backslash must begin \\xHH or \\\\");
		if (key.size == 0)
			return load_bad_line(load, input, "the key is empty");
		status = load_put(load, &key, &value);
		if (status != EXIT_OK)
			return status;
	}
	return got < 0 ? load_status(got) : EXIT_OK;
}
