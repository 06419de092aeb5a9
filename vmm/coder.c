#include "coder.h"

#include <stdbool.h>

#define ONE  32768
#define RATE 4 /* a chance comes nearer to what is seen by a 16th of the distance */

static void next_byte(struct coder *coder)
{
	if (coder->to != NULL)
		*coder->to++ = (uint8_t)(coder->high >> 24);
	else
		coder->code = coder->code << 8 | *coder->from++;
	coder->low <<= 8;
	coder->high = coder->high << 8 | 0xff;
}

void coder_pack(struct coder *ret, uint8_t *to)
{
	*ret = (struct coder){ .to = to, .high = UINT32_MAX };
}

void coder_end(struct coder *coder)
{
	for (unsigned i = 0; i < CODER_END_SIZE; i++)
		next_byte(coder);
}

static bool take_bit(struct coder *coder, coder_chance *chance, bool bit)
{
	uint64_t range = coder->high - coder->low;
	uint32_t middle = coder->low + (uint32_t)(range * (uint32_t)(ONE + *chance) / (2 * ONE));
	if (coder->to == NULL)
		bit = coder->code <= middle;
	if (bit) {
		coder->high = middle;
		*chance = (coder_chance)(*chance + ((ONE - 1 - *chance) >> RATE));
	} else {
		coder->low = middle + 1;
		*chance = (coder_chance)(*chance - ((ONE + *chance) >> RATE));
	}
	while ((coder->low ^ coder->high) >> 24 == 0)
		next_byte(coder);
	return bit;
}

/* A value of so many bits, each foreseen by those before it. */
static uint32_t take_bits(struct coder *coder, coder_chance *chances, unsigned nr, uint32_t value)
{
	uint32_t taken = 1;
	while (nr-- > 0)
		taken = taken << 1 | take_bit(coder, &chances[taken], value >> nr & 1);
	return taken;
}

static uint32_t take_number(struct coder *coder, struct coder_number *number, uint32_t value)
{
	uint32_t nr = 0, taken = 1;
	while (value >> nr > 1)
		nr++;
	nr = take_bits(coder, number->nr_bits, 4, nr) % CODER_BITS_MAX;
	while (nr-- > 0)
		taken = taken << 1 | take_bit(coder, &number->bits[nr], value >> nr & 1);
	return taken;
}

void coder_take(struct coder *coder, struct coder_step *step)
{
	if (!take_bit(coder, &coder->is_repeat, step->length > 1)) {
		step->length = 1;
		step->byte = (uint8_t)take_bits(coder, coder->literal, 8, step->byte);
		return;
	}
	if (!take_bit(coder, &coder->is_same_distance, step->distance == coder->distance))
		coder->distance = take_number(coder, &coder->distances, step->distance);
	step->distance = coder->distance;
	step->length = take_number(coder, &coder->lengths, step->length - 1) + 1;
}

void coder_unpack(const uint8_t *from, uint8_t *to, size_t size)
{
	struct coder coder = { .from = from };
	struct coder_step step = { 0 };
	const uint8_t *end = to + size;
	while (coder.high != UINT32_MAX)
		next_byte(&coder);
	while (to < end) {
		coder_take(&coder, &step);
		if (step.length == 1)
			*to++ = step.byte;
		else /* it may overlap what it makes */
			for (; step.length > 0; step.length--, to++)
				*to = *(to - step.distance);
	}
}
