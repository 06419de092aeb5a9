#include "format.h"

const struct format_frame format_frames[FORMAT_FRAMES] = {
	{ "parent", FORMAT_PARENT, 1, offsetof(struct image, parent_name) },
	{ "ram-pages", FORMAT_RAM_PAGES, 1, offsetof(struct image, ram_pages) },
	{ "ram-checksums", FORMAT_RAM_CHECKSUMS, 1, offsetof(struct image, ram_checksums) },
};

const struct format_frame *format_frame_by_id(uint16_t id)
{
	for (size_t i = 0; i < FORMAT_FRAMES; i++)
		if (format_frames[i].id == id)
			return &format_frames[i];
	return NULL;
}

const struct buffer *format_frame_payload(const struct format_frame *frame, const struct image *image)
{
	return (const struct buffer *)(const void *)((const uint8_t *)image + frame->offset);
}

bool format_is_ram(const struct format_section *entry)
{
	const struct component *component = component_by_id(entry->component);
	return component != NULL && component->shape == COMPONENT_RAM;
}
