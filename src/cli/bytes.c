/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bytes.c - see bytes.h. The decoders work in place because no text is shorter than its bytes.
 */
#include <stdint.h>
#include <string.h>

#include "bytes.h"

static const char digits[] = "0123456789abcdef";

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* hex_pair - the byte of two digits, or -1. */
static int hex_pair(const char *text)
{
	int high = hex_value(text[0]), low = hex_value(text[1]);

	return high < 0 || low < 0 ? -1 : high << 4 | low;
}

/* decode_escapes - lead is the number of characters between the backslash and the two digits: 1 for
 * the x of \xHH, 0 for \HH. */
static bool decode_escapes(char *text, size_t size, size_t lead, struct daxkv_val *bytes)
{
	size_t in = 0, out = 0;

	while (in < size) {
		int byte;
		if (text[in] != '\\') {
			text[out++] = text[in++];
			continue;
		}
		if (size - in >= 2 && text[in + 1] == '\\') {
			text[out++] = '\\';
			in += 2;
			continue;
		}
		if (size - in < 3 + lead || (lead == 1 && text[in + 1] != 'x'))
			return false;
		byte = hex_pair(text + in + 1 + lead);
		if (byte < 0)
			return false;
		text[out++] = (char)byte;
		in += 3 + lead;
	}
	*bytes = (struct daxkv_val){out, text};
	return true;
}

bool bytes_decode(char *text, size_t size, struct daxkv_val *bytes)
{
	return decode_escapes(text, size, 1, bytes);
}

bool bytes_decode_short(char *text, size_t size, struct daxkv_val *bytes)
{
	return decode_escapes(text, size, 0, bytes);
}

bool bytes_decode_hex(char *text, size_t size, struct daxkv_val *bytes)
{
	if (size % 2 != 0)
		return false;
	for (size_t i = 0; i < size; i += 2) {
		int byte = hex_pair(text + i);
		if (byte < 0)
			return false;
		text[i / 2] = (char)byte;
	}
	*bytes = (struct daxkv_val){size / 2, text};
	return true;
}

/* is_plain - printable in ASCII, whatever the locale says. */
static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '\\';
}

/* escape - the text of one byte that is not plain, at text; returns its length, at most 4. */
static size_t escape(unsigned char c, bool with_x, char *text)
{
	size_t n = 0;

	text[n++] = '\\';
	if (c == '\\') {
		text[n++] = '\\';
		return n;
	}
	if (with_x)
		text[n++] = 'x';
	text[n++] = digits[c >> 4];
	text[n++] = digits[c & 15];
	return n;
}

static void print_escaped(FILE *out, const struct daxkv_val *bytes, bool with_x)
{
	const unsigned char *p = bytes->data;
	size_t i = 0;

	while (i < bytes->size) {
		char text[4];
		size_t run = 0;
		while (i + run < bytes->size && is_plain(p[i + run]))
			run++;
		if (run > 0)
			fwrite(p + i, 1, run, out);
		i += run;
		if (i < bytes->size) {
			fwrite(text, 1, escape(p[i], with_x, text), out);
			i++;
		}
	}
}

void bytes_print(FILE *out, const struct daxkv_val *bytes)
{
	print_escaped(out, bytes, true);
}

void bytes_print_short(FILE *out, const struct daxkv_val *bytes)
{
	print_escaped(out, bytes, false);
}

void bytes_print_hex(FILE *out, const struct daxkv_val *bytes)
{
	const unsigned char *p = bytes->data;
	char text[1024];
	size_t n = 0;

	for (size_t i = 0; i < bytes->size; i++) {
		text[n++] = digits[p[i] >> 4];
		text[n++] = digits[p[i] & 15];
		if (n == sizeof text) {
			fwrite(text, 1, n, out);
			n = 0;
		}
	}
	fwrite(text, 1, n, out);
}

void bytes_print_json(FILE *out, const char *text, size_t size)
{
	putc('"', out);
	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)text[i];
		if (c == '\\')
			fputs("\\\\\\\\", out);
		else if (c == '"')
			fputs("\\\"", out);
		else if (is_plain(c))
			putc(c, out);
		else
			fprintf(out, "\\\\x%02x", c);
	}
	putc('"', out);
}

const char *bytes_text(const struct daxkv_val *bytes, char *text, size_t size)
{
	const unsigned char *p = bytes->data;
	size_t n = 0;

	for (size_t i = 0; i < bytes->size; i++) {
		if (size - n < 4 + sizeof "...") {
			memcpy(text + n, "...", 3);
			n += 3;
			break;
		}
		if (is_plain(p[i]))
			text[n++] = (char)p[i];
		else
			n += escape(p[i], true, text + n);
	}
	text[n] = '\0';
	return text;
}

int bytes_cmp(const struct daxkv_val *a, const struct daxkv_val *b)
{
	size_t n = a->size < b->size ? a->size : b->size;
	int c = n == 0 ? 0 : memcmp(a->data, b->data, n);

	return c != 0 ? c : (a->size > b->size) - (a->size < b->size);
}
