#include <ctype.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "command.h"
#include "snapshot/file.h"
#include "snapshot/inspect.h"

#define RAW_BYTES  16 /* in a line of --raw */
#define VALUES     8  /* of the header */
#define VALUE_SIZE 128

static void print_line(const struct inspect_line *line, void *context)
{
	(void)context;
	printf("%s %s %s%s%s = %s", line->where, line->component, line->name, line->id[0] != '\0' ? " " : "", line->id,
	       line->value);
	if (line->bits[0] != '\0')
		printf("  [%s]", line->bits);
	if (line->note != NULL)
		printf("  (%s)", line->note);
	printf("\n");
}

static void json_line(const struct inspect_line *line, void *context)
{
	struct json *json = context;
	json_object_begin(json, NULL);
	json_string(json, "where", line->where);
	json_string(json, "component", line->component);
	json_string(json, "name", line->name);
	if (line->id[0] != '\0')
		json_string(json, "id", line->id);
	json_string(json, "value", line->value);
	if (line->bits[0] != '\0')
		json_string(json, "bits", line->bits);
	if (line->note != NULL)
		json_string(json, "note", line->note);
	json_object_end(json);
}

/* Each line tells the offset in the file of its first byte. */
static void print_section(const char *where, const struct section *section, void *context)
{
	const struct buffer *payload = &section->payload;
	(void)context;
	for (size_t at = 0; at < payload->size; at++) {
		if (at % RAW_BYTES == 0)
			printf("%s%s %s raw 0x%08" PRIx64 ":", at > 0 ? "\n" : "", where, section->component->name,
			       section->offset + at);
		printf(" %02x", payload->data[at]);
	}
	printf("\n");
}

static void json_section(const char *where, const struct section *section, void *context)
{
	struct json *json = context;
	json_object_begin(json, NULL);
	json_string(json, "where", where);
	json_string(json, "component", section->component->name);
	json_number(json, "offset", section->offset);
	json_bytes(json, "bytes", section->payload.data, section->payload.size);
	json_object_end(json);
}

static void format_time(uint64_t ns, char *ret, size_t size)
{
	time_t seconds = (time_t)(ns / 1000000000);
	struct tm tm;
	if (gmtime_r(&seconds, &tm) == NULL || strftime(ret, size, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		snprintf(ret, size, "%" PRIu64 " ns", ns);
}

/* A string of size bytes that may lack its 0, from a stranger: what steers a terminal does not reach one. */
static void format_text(const char *text, size_t size, char *ret)
{
	size_t length = strnlen(text, size);
	for (size_t i = 0; i < length; i++)
		ret[i] = isprint((unsigned char)text[i]) ? text[i] : '?';
	ret[length] = '\0';
}

/* What stands in the header: name and value, the same for text and JSON. */
static size_t header_lines(const struct image *image, char values[][VALUE_SIZE], const char *names[])
{
	const struct image_header *header = &image->header;
	size_t nr = 0;
	names[nr] = "id";
	image_format_id(header->id, values[nr++]);
	if (image_is_incremental(image)) {
		names[nr] = "parent";
		image_format_id(header->parent_id, values[nr++]);
		names[nr] = "parent_file";
		size_t size = image->parent_name.size < VALUE_SIZE ? image->parent_name.size : VALUE_SIZE - 1;
		format_text((const char *)image->parent_name.data, size, values[nr++]);
	}
	names[nr] = "created";
	format_time(header->created_ns, values[nr++], VALUE_SIZE);
	names[nr] = "writer";
	format_text(header->writer, sizeof(header->writer), values[nr++]);
	names[nr] = "kernel";
	format_text(header->kernel, sizeof(header->kernel), values[nr++]);
	names[nr] = "cpu_vendor";
	format_text(header->cpu_vendor, sizeof(header->cpu_vendor), values[nr++]);
	names[nr] = "cpu_brand";
	format_text(header->cpu_brand, sizeof(header->cpu_brand), values[nr++]);
	return nr;
}

static int inspect(const struct options *options, int *ret_status, struct error *err)
{
	const char *filter = options->nr_arguments > 1 ? options->arguments[1] : NULL;
	struct image image = { 0 };
	struct json json = { .out = stdout };
	char values[VALUES][VALUE_SIZE];
	const char *names[VALUES];
	int status = file_read_state(options->arguments[0], &image, err);
	if (status < 0)
		return status;
	size_t nr = header_lines(&image, values, names), lines;
	if (options->json) {
		json_object_begin(&json, NULL);
		for (size_t i = 0; i < nr; i++)
			json_string(&json, names[i], values[i]);
		json_array_begin(&json, "state");
		lines = inspect_image(&image, filter, json_line, &json);
		json_array_end(&json);
		if (options->raw) {
			json_array_begin(&json, "raw");
			inspect_sections(&image, filter, json_section, &json);
			json_array_end(&json);
		}
		json_object_end(&json);
		json_end(&json);
	} else {
		for (size_t i = 0; i < nr && filter == NULL; i++)
			printf("%s: %s\n", names[i], values[i]);
		lines = inspect_image(&image, filter, print_line, NULL);
		if (options->raw)
			inspect_sections(&image, filter, print_section, NULL);
	}
	image_done(&image);
	if (lines == 0)
		return error_set(err, ERROR_USAGE,
				 "%s: nothing in the snapshot is called that; without a name all of it is printed",
				 filter);
	*ret_status = 0;
	return 0;
}

const struct command command_inspect = {
	.name = "inspect",
	.arguments = "FILE [NAME]",
	.summary = "print a snapshot's contents, or only a component or register",
	.options = OPTIONS_JSON | OPTIONS_RAW,
	.arguments_min = 1,
	.arguments_max = 2,
	.run = inspect,
};
