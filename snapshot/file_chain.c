#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "file_link.h"

/* The path of the parent that a snapshot at path names.  The caller frees it; NULL: no memory. */
static char *parent_path(const char *path, struct bytes parent_name)
{
	char *real = realpath(path, NULL), *result; /* a symbolic link's target has its parent beside it */
	const char *child = real != NULL ? real : path, *slash = strrchr(child, '/');
	int folder = slash != NULL && parent_name.data[0] != '/' ? (int)(slash - child) + 1 : 0;
	if (asprintf(&result, "%.*s%.*s", folder, child, (int)parent_name.size, (const char *)parent_name.data) < 0)
		result = NULL;
	free(real);
	return result;
}

/* The name comes from a stranger: nothing but a regular file is opened. */
static int check_parent_file(const struct link *child, const char *path, struct error *err)
{
	struct stat st;
	if (stat(path, &st) < 0)
		return error_errno(err, errno == EACCES ? ERROR_PERMISSION : ERROR_NO_INPUT,
				   "%s: its parent %s is not where it should be; put it there", child->path, path);
	if (!S_ISREG(st.st_mode))
		return error_set(err, ERROR_DATA, "%s: its parent %s is not a file", child->path, path);
	return 0;
}

static int check_parent(const struct link *child, const struct link *parent, struct error *err)
{
	const struct machine *ours = image_machine(&child->image), *theirs = image_machine(&parent->image);
	char found[IMAGE_ID_TEXT], expected[IMAGE_ID_TEXT];
	if (memcmp(parent->image.header.id, child->image.header.parent_id, IMAGE_ID_SIZE) != 0) {
		image_format_id(parent->image.header.id, found);
		image_format_id(child->image.header.parent_id, expected);
		return error_set(err, ERROR_DATA, "%s: its parent %s is another snapshot: its id is %s, expected %s",
				 child->path, parent->path, found, expected);
	}
	if (parent->header.form != FORMAT_FILE)
		return error_set(err, ERROR_DATA, "%s: its parent %s is a stream, expected a file", child->path,
				 parent->path);
	if (ours->nr_ranges != theirs->nr_ranges || memcmp(ours->ranges, theirs->ranges, sizeof(ours->ranges)) != 0)
		return error_set(err, ERROR_DATA,
				 "%s: its parent %s has other RAM: %u regions, the first of 0x%llx "
				 "bytes, expected %u and 0x%llx",
				 child->path, parent->path, theirs->nr_ranges,
				 (unsigned long long)theirs->ranges[0].size, ours->nr_ranges,
				 (unsigned long long)ours->ranges[0].size);
	return 0;
}

static bool has_id(const struct chain *chain, const uint8_t id[IMAGE_ID_SIZE])
{
	for (unsigned i = 0; i < chain->nr; i++)
		if (memcmp(chain->links[i].image.header.id, id, IMAGE_ID_SIZE) == 0)
			return true;
	return false;
}

/* Reads the parent of the last link. */
static int add_parent(struct chain *chain, struct error *err)
{
	struct link *child = &chain->links[chain->nr - 1], *parent = child + 1;
	if (has_id(chain, child->image.header.parent_id))
		return error_set(err, ERROR_DATA, "%s: its parents go round in a circle", child->path);
	if (chain->nr == CHAIN_MAX)
		return error_set(err, ERROR_DATA,
				 "%s: more than %d parents in front of a whole snapshot; flatten one of them",
				 chain->links[0].path, CHAIN_MAX - 1);
	child->image.parent_path = parent_path(child->path, buffer_bytes(&child->image.parent_name));
	if (child->image.parent_path == NULL)
		return error_set(err, ERROR_SYSTEM, "%s: no memory for its parent's name", child->path);
	int status = check_parent_file(child, child->image.parent_path, err);
	if (status < 0)
		return status;
	chain->nr++;
	status = link_read(child->image.parent_path, parent, err);
	if (status < 0)
		return error_prefix(err, "%s: its parent", child->path);
	return check_parent(child, parent, err);
}

int chain_complete(struct chain *chain, struct error *err)
{
	int status = 0;
	while (status == 0 && image_is_incremental(&chain->links[chain->nr - 1].image))
		status = add_parent(chain, err);
	return status;
}

void chain_free(struct chain *chain)
{
	if (chain == NULL)
		return;
	for (unsigned i = 0; i < chain->nr; i++)
		link_done(&chain->links[i]);
	free(chain);
}
