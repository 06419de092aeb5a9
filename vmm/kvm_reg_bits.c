#include "kvm_reg.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cold.h"

#define OTHER "OTHER"

/* Text that grows word by word in a buffer of the caller and is cut off where that ends. */
struct words {
	char *at;
	size_t size, used;
};

__attribute__((format(printf, 2, 3))) static void add(struct words *words, const char *format, ...)
{
	if (words->used != 0 && words->used + 1 < words->size)
		words->at[words->used++] = ' ';
	if (words->used >= words->size)
		return;
	va_list args;
	va_start(args, format);
	int length = vsnprintf(words->at + words->used, words->size - words->used, format, args);
	va_end(args);
	if (length > 0)
		words->used += (size_t)length;
}

static struct words begin(char *at, size_t size)
{
	if (size > 0)
		at[0] = '\0';
	return (struct words){ .at = at, .size = size };
}

static uint8_t take_number(const char **at)
{
	unsigned number = 0;
	for (; **at >= '0' && **at <= '9'; ++*at)
		number = 10 * number + (unsigned)(**at - '0');
	return (uint8_t)number;
}

bool kvm_reg_bits_next(const char **list, struct kvm_reg_bits *ret)
{
	const char *at = *list;
	cold_unpack();
	if (at == NULL || *at == '\0')
		return false;
	ret->low = take_number(&at);
	ret->width = 1;
	if (*at == '+') {
		at++;
		ret->width = take_number(&at);
	}
	ret->name = at + 1;
	*list = ret->name + strlen(ret->name) + 1;
	return true;
}

static uint64_t field_mask(const struct kvm_reg_bits *field)
{
	return (field->width < 64 ? (1ull << field->width) - 1 : UINT64_MAX) << field->low;
}

void kvm_reg_decode(const char *bits, uint64_t value, char *ret, size_t size)
{
	struct words words = begin(ret, size);
	struct kvm_reg_bits field;
	uint64_t other = value;
	if (bits == NULL)
		return;
	while (kvm_reg_bits_next(&bits, &field)) {
		uint64_t mask = field_mask(&field);
		other &= ~mask;
		if ((value & mask) == 0 || field.name[0] == '\0')
			continue;
		if (field.width == 1)
			add(&words, "%s", field.name);
		else
			add(&words, "%s=0x%" PRIx64, field.name, (value & mask) >> field.low);
	}
	if (other != 0)
		add(&words, OTHER "=0x%" PRIx64, other);
}

void kvm_reg_decode_difference(const char *bits, uint64_t from, uint64_t to, char *ret, size_t size)
{
	struct words words = begin(ret, size);
	struct kvm_reg_bits field;
	uint64_t other = UINT64_MAX;
	if (bits == NULL)
		return;
	while (kvm_reg_bits_next(&bits, &field)) {
		if (field.name[0] == '\0')
			continue;
		uint64_t mask = field_mask(&field);
		other &= ~mask;
		if (((from ^ to) & mask) == 0)
			continue;
		if (field.width == 1)
			add(&words, "%c%s", (to & mask) != 0 ? '+' : '-', field.name);
		else
			add(&words, "%s: 0x%" PRIx64 " -> 0x%" PRIx64, field.name, (from & mask) >> field.low,
			    (to & mask) >> field.low);
	}
	if (((from ^ to) & other) != 0)
		add(&words, OTHER ": 0x%" PRIx64 " -> 0x%" PRIx64, from & other, to & other);
}
