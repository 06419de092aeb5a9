#include "image_builder.h"

#include <check.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "snapshot/crc32c.h"
#include "snapshot/state.h"
#include "vmm/io.h"

#define LISTED      3     /* entries of a list */
#define NESTED_TAIL 4096u /* bytes behind the nested state's header */

/* Values that no two fields of a struct share. */
struct filling {
	uint8_t *structure;
	uint8_t next;
};

static int fill_leaf(const struct schema_leaf *leaf, void *context)
{
	struct filling *filling = context;
	if (leaf->field->rule == FIELD_PADDING)
		return 0;
	for (uint32_t i = 0; i < leaf->size; i++)
		filling->structure[leaf->offset + i] = (uint8_t)(filling->next + i) | 1;
	filling->next = (uint8_t)(filling->next + 2);
	return 0;
}

static void add(struct image *image, const struct component *component, unsigned instance, const void *data,
		size_t size)
{
	struct bytes payload = { .data = data, .size = size };
	ck_assert_int_eq(image_add(image, component, (uint16_t)instance, payload, NULL), 0);
}

/* Those whose contents have rules get what keeps them. */
static bool add_special(struct image *image, const struct component *component, unsigned instance)
{
	static const struct kvm_reg_value registers[LISTED] = {
		{ KVM_X86_REG_MSR(0x174), 0x10 },
		{ KVM_X86_REG_MSR(0xc0000082), 0xffffffff81000000 },
		{ KVM_X86_REG_KVM(0), 0x7000 },
	};
	static const struct kvm_cpuid_entry2 cpuid[LISTED] = { { .function = 0, .eax = 0xd },
							       { .function = 1, .edx = 0x178bfbff },
							       { .function = 4, .index = 1, .flags = 1 } };
	static const struct serial_state uart = { .ier = 1, .rx_count = 1, .rx = { 'x' } };
	static const struct ports_state ports = { .checkpoints_taken = 1 };
	static const struct {
		const char *name;
		const void *data;
		size_t size;
	} special[] = {
		{ "registers", registers, sizeof(registers) },
		{ "cpuid", cpuid, sizeof(cpuid) },
		{ "uart", &uart, sizeof(uart) },
		{ "ports", &ports, sizeof(ports) },
	};
	for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++) {
		if (strcmp(special[i].name, component->name) == 0) {
			add(image, component, instance, special[i].data, special[i].size);
			return true;
		}
	}
	return false;
}

static void add_pattern(struct image *image, const struct component *component, unsigned instance)
{
	struct buffer payload = { 0 };
	size_t tail = component->shape == COMPONENT_BLOB ? NESTED_TAIL : 0;
	uint8_t *data = buffer_append(&payload, NULL, component->schema->size + tail);
	struct filling filling = { .structure = data, .next = (uint8_t)(component->id * 16 + instance) };
	ck_assert_ptr_nonnull(data);
	schema_walk(component->schema, fill_leaf, &filling);
	if (component->get == KVM_GET_IRQCHIP) /* which of the chips it is */
		memcpy(data, &component->select, sizeof(component->select));
	if (component->shape == COMPONENT_BLOB) {
		uint32_t size = (uint32_t)payload.size;
		memcpy(data + offsetof(struct kvm_nested_state, size), &size, sizeof(size));
		memset(data + component->schema->size, 0x5a, tail);
	}
	add(image, component, instance, payload.data, payload.size);
	buffer_done(&payload);
}

void image_build(struct image *ret, uint32_t nr_vcpus, uint32_t irqchip)
{
	const struct machine machine = {
		.nr_vcpus = nr_vcpus,
		.irqchip = irqchip,
		.tss_address = 0xfeffd000,
		.identity_map_address = 0xfeffc000,
		.mcg_cap = 0x10a,
		.capabilities = 3,
		.nr_ranges = 2,
		.ranges = { { .gpa = 0, .size = BUILD_RAM },
			    { .gpa = BUILD_ROM_GPA, .size = BUILD_ROM, .flags = MEMORY_ROM } },
	};
	*ret = (struct image){ .header = { .id = "0123456789abcde", .created_ns = 1, .writer = "stasis by hand" } };
	ret->memory = &ret->ram;
	for (unsigned i = 0; i < machine.nr_ranges; i++) {
		ck_assert_int_eq(memory_add(&ret->ram, &machine.ranges[i], NULL), 0);
	}
	for (size_t i = 0; i < component_table_size; i++) {
		const struct component *component = &component_table[i];
		for (unsigned k = 0; k < component_instances(component, &machine); k++) {
			if (strcmp(component->name, "machine") == 0)
				add(ret, component, k, &machine, sizeof(machine));
			else if (component->shape != COMPONENT_RAM && !add_special(ret, component, k))
				add_pattern(ret, component, k);
		}
	}
}

void image_build_page(const struct image *image, uint64_t gpa, uint8_t seed)
{
	uint8_t *page = memory_at(image->memory, gpa, MEMORY_PAGE);
	ck_assert_ptr_nonnull(page);
	for (uint32_t i = 0; i < MEMORY_PAGE; i++)
		page[i] = (uint8_t)(seed + i * 7);
}

struct section *image_section(struct image *image, const char *component, unsigned instance)
{
	for (size_t i = 0; i < image->nr_sections; i++) {
		struct section *section = &image->sections[i];
		if (strcmp(section->component->name, component) == 0 && section->instance == instance)
			return section;
	}
	ck_abort_msg("no section %s, instance %u", component, instance);
}

uint8_t *image_field(struct image *image, const char *component, unsigned instance, const char *field)
{
	struct section *section = image_section(image, component, instance);
	struct schema_leaf leaf = { .offset = 0 };
	ck_assert_msg(schema_find(section->component->schema, field, &leaf), "%s.%s", component, field);
	return section->payload.data + leaf.offset;
}

/* ---- Files in memory ---- */

/* A file under its own name, in memory: path is how open(2) finds it again. */
static int open_memory(char path[32])
{
	int fd = memfd_create("snapshot", MFD_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	snprintf(path, 32, "/proc/self/fd/%d", fd);
	return fd;
}

static struct buffer read_all(const char *path)
{
	struct buffer bytes = { 0 };
	ck_assert_int_eq(io_read_file(path, 256u << 20, &bytes, NULL), 0);
	return bytes;
}

struct buffer image_to_file(const struct image *image)
{
	char folder[] = "image_builder.XXXXXX", path[sizeof(folder) + 8];
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/file", folder);
	ck_assert_int_eq(file_write(image, path, NULL), 0);
	struct buffer bytes = read_all(path);
	unlink(path);
	rmdir(folder);
	return bytes;
}

struct buffer image_to_stream(const struct image *image)
{
	char path[32];
	int fd = open_memory(path);
	ck_assert_int_eq(file_write_stream(image, fd, "a stream", NULL), 0);
	struct buffer bytes = read_all(path);
	close(fd);
	return bytes;
}

struct format_header *file_header(const struct buffer *file)
{
	return (struct format_header *)(void *)file->data;
}

struct format_section *file_entry(const struct buffer *file, uint32_t index)
{
	return (struct format_section *)(void *)(file->data + sizeof(struct format_header)) + index;
}

struct format_section *file_find(const struct buffer *file, uint16_t component, uint16_t instance)
{
	for (uint32_t i = 0; i < file_header(file)->nr_sections; i++) {
		struct format_section *entry = file_entry(file, i);
		if (entry->component == component && entry->instance == instance)
			return entry;
	}
	ck_abort_msg("no entry of component %u, instance %u", component, instance);
}

static bool is_ram(const struct format_section *entry)
{
	return entry->component == component_by_name("ram")->id;
}

void file_seal(const struct buffer *file)
{
	struct format_header *header = file_header(file);
	size_t table_size = header->nr_sections * sizeof(struct format_section);
	if (sizeof(*header) + table_size <= file->size) {
		for (uint32_t i = 0; i < header->nr_sections; i++) {
			struct format_section *entry = file_entry(file, i);
			if (!is_ram(entry) && range_is_inside(entry->offset, entry->length, file->size))
				entry->crc = crc32c(0, file->data + entry->offset, entry->length);
		}
		header->table_crc = crc32c(0, file_entry(file, 0), table_size);
	}
	header->header_crc = crc32c(0, header, offsetof(struct format_header, header_crc));
}

void file_place(struct buffer *file)
{
	struct format_header *header = file_header(file);
	uint64_t end = sizeof(*header) + header->nr_sections * sizeof(struct format_section);
	for (uint32_t i = 0; i < header->nr_sections; i++) {
		struct format_section *entry = file_entry(file, i);
		entry->offset = align_up(end, is_ram(entry) ? MEMORY_PAGE : FORMAT_ALIGNMENT);
		end = entry->offset + entry->length;
	}
	header->size = end;
	if (end > file->size) {
		ck_assert_ptr_nonnull(buffer_append(file, NULL, end - file->size));
	}
	file->size = end;
}

/* ---- Reading ---- */

struct writer {
	int fd;
	struct bytes bytes;
};

/* A reader that stops early is no mistake: it closes its end. */
static void *write_bytes(void *context)
{
	const struct writer *writer = context;
	int result = io_write_full(writer->fd, writer->bytes.data, writer->bytes.size);
	(void)result;
	close(writer->fd);
	return NULL;
}

static int read_pipe(struct bytes bytes, struct image *ret, struct error *err)
{
	int fds[2], none = open("/dev/null", O_RDONLY | O_CLOEXEC);
	pthread_t thread;
	signal(SIGPIPE, SIG_IGN);
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	struct writer writer = { .fd = fds[1], .bytes = bytes };
	ck_assert_int_eq(pthread_create(&thread, NULL, write_bytes, &writer), 0);
	ck_assert_int_eq(dup2(fds[0], STDIN_FILENO), STDIN_FILENO);
	close(fds[0]);
	int status = file_read("-", ret, err);
	dup2(none, STDIN_FILENO); /* nobody reads any more */
	close(none);
	pthread_join(thread, NULL);
	return status;
}

int file_read_bytes(struct bytes bytes, enum read_way way, struct image *ret, struct error *err)
{
	char path[32];
	if (way == READ_PIPE)
		return read_pipe(bytes, ret, err);
	int fd = open_memory(path);
	ck_assert_int_eq(io_pwrite_full(fd, bytes.data, bytes.size, 0), 0);
	int status = file_read(path, ret, err);
	close(fd);
	return status;
}
