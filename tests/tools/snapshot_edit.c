/*
 * Changes a snapshot by name and writes it again, checksums and all: how the tests make snapshots that another host, or
 * another moment, would have made.
 *
 *   snapshot_edit IN OUT [register NAME VALUE | field COMPONENT.FIELD VALUE | feature NAME on|off | ram GPA BYTE]...
 *
 * Registers and fields are vCPU 0's (a register that is not there is added), features those of all vCPUs.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "snapshot/file.h"

#define WORDS_OF_AN_EDIT 3

static bool parse(const char *text, uint64_t *ret)
{
	char *end;
	*ret = strtoull(text, &end, 0);
	return *text != '\0' && *end == '\0';
}

static struct buffer *payload_of(struct image *image, const char *component, unsigned instance)
{
	for (size_t i = 0; i < image->nr_sections; i++)
		if (strcmp(image->sections[i].component->name, component) == 0 &&
		    image->sections[i].instance == instance)
			return &image->sections[i].payload;
	return NULL;
}

static bool edit_register(struct image *image, const char *name, const char *value)
{
	struct buffer *payload = payload_of(image, "registers", 0);
	struct kvm_reg_value reg, old;
	if (payload == NULL || !kvm_reg_parse(name, &reg.id) || !parse(value, &reg.value))
		return false;
	for (size_t at = 0; at < payload->size; at += sizeof(reg)) {
		memcpy(&old, payload->data + at, sizeof(old));
		if (old.id == reg.id) {
			memcpy(payload->data + at, &reg, sizeof(reg));
			return true;
		}
	}
	return buffer_append(payload, &reg, sizeof(reg)) != NULL;
}

static bool edit_field(struct image *image, const char *name, const char *value)
{
	char component[32];
	const char *field = strchr(name, '.');
	struct schema_leaf leaf;
	uint64_t number;
	if (field == NULL || !parse(value, &number))
		return false;
	snprintf(component, sizeof(component), "%.*s", (int)(field - name), name);
	struct buffer *payload = payload_of(image, component, 0);
	if (payload == NULL || !schema_find(component_by_name(component)->schema, field + 1, &leaf) ||
	    leaf.size > sizeof(number))
		return false;
	memcpy(payload->data + leaf.offset, &number, leaf.size); /* little-endian, as everything here */
	return true;
}

static bool edit_feature(struct image *image, const char *name, const char *value)
{
	struct cpuid_bit bit;
	struct cpuid cpuid;
	bool on = strcmp(value, "on") == 0;
	if (!cpuid_feature(name, &bit))
		return false;
	for (unsigned vcpu = 0; image_cpuid(image, vcpu, &cpuid); vcpu++) {
		cpuid_change(&cpuid, bit, on);
		if (cpuid_has(&cpuid, bit) != on)
			return false;
		struct buffer *payload = payload_of(image, "cpuid", vcpu);
		memcpy(payload->data, cpuid.entries, payload->size);
	}
	return true;
}

static bool edit_ram(struct image *image, const char *gpa, const char *value)
{
	uint64_t address, byte;
	return parse(gpa, &address) && parse(value, &byte) && byte <= UINT8_MAX &&
	       memory_write(&image->ram, address, &(uint8_t){ (uint8_t)byte }, 1);
}

static const struct {
	const char *name;
	bool (*edit)(struct image *image, const char *name, const char *value);
} kinds[] = {
	{ "register", edit_register },
	{ "field", edit_field },
	{ "feature", edit_feature },
	{ "ram", edit_ram },
};

static bool edit(struct image *image, char **words)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i].name, words[0]) == 0)
			return kinds[i].edit(image, words[1], words[2]);
	return false;
}

int main(int argc, char **argv)
{
	struct error err = { 0 };
	struct image image = { 0 };
	if (argc < 3 || (argc - 3) % WORDS_OF_AN_EDIT != 0) {
		fprintf(stderr, "usage: snapshot_edit IN OUT [KIND NAME VALUE]...\n");
		return EXIT_FAILURE;
	}
	int status = file_read(argv[1], &image, &err);
	for (int i = 3; i < argc && status == 0; i += WORDS_OF_AN_EDIT)
		if (!edit(&image, argv + i))
			status = error_set(&err, ERROR_USAGE, "%s %s %s cannot be done", argv[i], argv[i + 1],
					   argv[i + 2]);
	if (status == 0)
		status = file_write(&image, argv[2], &err);
	if (status < 0)
		fprintf(stderr, "snapshot_edit: %s\n", err.text);
	image_done(&image);
	return status < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
