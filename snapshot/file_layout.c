#include "file_layout.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "crc32c.h"
#include "ram.h"

#define BLOB_MAX (64u << 10) /* bytes behind the struct: nested state has 8 KiB and a header at most */

uint64_t layout_checksums_size(const struct memory *memory)
{
	uint64_t chunks = 0;
	for (unsigned i = 0; i < memory->nr_regions; i++)
		chunks += ram_chunks(memory->regions[i].range.size);
	return chunks * sizeof(uint32_t);
}

static uint64_t payload_max(const struct component *component)
{
	switch (component->shape) {
	case COMPONENT_STRUCT:
		return component->schema->size;
	case COMPONENT_BLOB:
		return component->schema->size + BLOB_MAX;
	case COMPONENT_LIST:
		return (uint64_t)component->schema->size * COMPONENT_ENTRIES_MAX;
	case COMPONENT_RAM:
		break;
	}
	return 0;
}

uint64_t layout_ram_offset_max(const struct machine *machine, const struct memory *memory)
{
	uint64_t size = sizeof(struct format_header);
	for (size_t i = 0; i < component_table_size; i++) {
		const struct component *component = &component_table[i];
		size += component_instances(component, machine) *
			(sizeof(struct format_section) + align_up(payload_max(component), FORMAT_ALIGNMENT));
	}
	size += (FORMAT_FRAMES + memory->nr_regions) * (sizeof(struct format_section) + FORMAT_ALIGNMENT);
	size += FORMAT_PARENT_NAME_MAX + layout_checksums_size(memory);
	for (unsigned i = 0; i < memory->nr_regions; i++)
		size += pages_words(memory->regions[i].range.size / MEMORY_PAGE) * sizeof(uint64_t);
	return align_up(size, MEMORY_PAGE);
}

static uint64_t add(struct layout *layout, uint16_t component, uint16_t version, uint16_t instance, uint64_t offset,
		    uint64_t length)
{
	assert(layout->nr_sections < sizeof(layout->table) / sizeof(layout->table[0]));
	layout->table[layout->nr_sections++] = (struct format_section){
		.component = component, .instance = instance, .version = version, .offset = offset, .length = length
	};
	return offset + length;
}

static uint64_t add_payload(struct layout *layout, uint16_t component, uint16_t version, uint16_t instance,
			    uint64_t end, const struct buffer *payload)
{
	layout->payloads[layout->nr_sections] = buffer_bytes(payload);
	return add(layout, component, version, instance, align_up(end, FORMAT_ALIGNMENT), payload->size);
}

static int add_ram(struct layout *layout, const struct memory *memory, uint64_t ram_offset, struct error *err)
{
	const struct component *ram = component_by_name("ram");
	uint64_t natural = align_up(layout->state_size, MEMORY_PAGE), at = ram_offset != 0 ? ram_offset : natural;
	uint16_t version = at == natural ? FORMAT_RAM_VERSION : FORMAT_RAM_PLACED_VERSION;
	if (at < natural)
		return error_set(err, ERROR_INTERNAL,
				 "state of %" PRIu64 " bytes, but RAM was placed at offset %" PRIu64,
				 layout->state_size, at);
	layout->ram_offset = layout->size = at;
	for (unsigned i = 0; i < memory->nr_regions; i++)
		layout->size = add(layout, ram->id, version, (uint16_t)i, layout->size, memory->regions[i].range.size);
	return 0;
}

int layout_make(struct layout *ret, const struct image *image, enum format_form form, uint64_t ram_offset,
		struct error *err)
{
	const struct memory *memory = image->memory;
	bool is_file = form == FORMAT_FILE;
	size_t nr_sections = image->nr_sections;
	*ret = (struct layout){ .form = form };
	for (size_t i = 0; i < FORMAT_FRAMES && is_file; i++)
		nr_sections += format_frame_payload(&format_frames[i], image)->size > 0;
	if (is_file)
		nr_sections += memory->nr_regions;
	uint64_t at = sizeof(struct format_header) + nr_sections * sizeof(struct format_section);
	for (size_t i = 0; i < image->nr_sections; i++) {
		const struct section *section = &image->sections[i];
		at = add_payload(ret, section->component->id, section->component->version, section->instance, at,
				 &section->payload);
	}
	for (size_t i = 0; i < FORMAT_FRAMES && is_file; i++) {
		const struct format_frame *frame = &format_frames[i];
		const struct buffer *payload = format_frame_payload(frame, image);
		if (payload->size > 0)
			at = add_payload(ret, frame->id, frame->version, 0, at, payload);
	}
	ret->state_size = ret->size = at;
	return is_file ? add_ram(ret, memory, ram_offset, err) : 0;
}

int layout_serialize(struct layout *layout, const struct image *image, struct buffer *ret, struct error *err)
{
	uint8_t *state = buffer_append(ret, NULL, layout->state_size);
	if (state == NULL)
		return error_set(err, ERROR_SYSTEM, "no memory for a snapshot's state");
	for (size_t i = 0; i < layout->nr_sections; i++) {
		struct format_section *entry = &layout->table[i];
		if (entry->offset >= layout->state_size)
			continue; /* RAM */
		struct bytes payload = layout->payloads[i];
		memcpy(state + entry->offset, payload.data, payload.size);
		entry->crc = crc32c(0, payload.data, payload.size);
	}
	size_t table_size = layout->nr_sections * sizeof(layout->table[0]);
	struct format_header header = {
		.magic = FORMAT_MAGIC,
		.version = FORMAT_VERSION,
		.header_size = sizeof(header),
		.form = layout->form,
		.nr_sections = layout->nr_sections,
		.size = layout->size,
		.image = image->header,
		.table_crc = crc32c(0, layout->table, table_size),
	};
	header.header_crc = crc32c(0, &header, offsetof(struct format_header, header_crc));
	memcpy(state, &header, sizeof(header));
	memcpy(state + sizeof(header), layout->table, table_size);
	return 0;
}
