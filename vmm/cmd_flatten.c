#include "command.h"
#include "snapshot/file.h"
#include "snapshot/ram.h"

/* All that is no hole in the files that RAM is mapped from. */
static int write_whole(struct image *image, const char *path, struct error *err)
{
	struct pages pages;
	int status = pages_create_for(&pages, image->memory, err);
	if (status < 0)
		return status;
	ram_add_file_data(image->memory, &pages);
	image_drop_parent(image);
	status = file_write_pages(image, &pages, path, err);
	pages_done(&pages);
	return status;
}

/* The same instant as a file of its own: it keeps its id, so that what builds on it builds on either. */
static int flatten(const struct options *options, int *ret_status, struct error *err)
{
	struct image image = { 0 };
	int status = file_read_verified(options->arguments[0], &image, err);
	if (status == 0)
		status = write_whole(&image, options->arguments[1], err);
	if (status == 0) {
		printf("%s: whole, with the id of %s\n", options->arguments[1], options->arguments[0]);
		*ret_status = 0;
	}
	image_done(&image);
	return status;
}

const struct command command_flatten = {
	.name = "flatten",
	.arguments = "FILE OUT",
	.summary = "write an incremental snapshot and what it builds on as one whole file",
	.options = 0,
	.arguments_min = 2,
	.arguments_max = 2,
	.run = flatten,
};
