#include "track.h"

#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "file.h"
#include "file_link.h"

int track_create(struct track **ret, struct vm *vm, struct error *err)
{
	struct track *track = calloc(1, sizeof(*track));
	if (track == NULL)
		return error_set(err, ERROR_SYSTEM, "no memory for tracking RAM");
	int status = pages_create_for(&track->since, &vm->memory, err);
	if (status == 0)
		status = dirty_create(&track->dirty, vm, DIRTY_NOTHING, err);
	if (status < 0) {
		track_free(track);
		return status;
	}
	*ret = track;
	return 0;
}

int track_set_base(struct track *track, const uint8_t id[IMAGE_ID_SIZE], const char *path, struct error *err)
{
	char *real = realpath(path, NULL);
	if (real == NULL)
		return error_errno(err, ERROR_IO, "%s: looking for what the next snapshot is to be a difference to",
				   path);
	free(track->base_path);
	track->base_path = real;
	memcpy(track->base_id, id, IMAGE_ID_SIZE);
	pages_clear(&track->since);
	return 0;
}

static bool is_same_file(const struct stat *a, const char *path)
{
	struct stat b;
	return stat(path, &b) == 0 && a->st_dev == b.st_dev && a->st_ino == b.st_ino;
}

int track_check_path(const struct track *track, const char *path, struct error *err)
{
	struct stat there;
	int status = 0;
	if (track->base_path == NULL || stat(path, &there) < 0)
		return 0;
	struct chain *chain = calloc(1, sizeof(*chain));
	if (chain == NULL)
		return error_set(err, ERROR_SYSTEM, "no memory for looking at the parents of %s", path);
	chain->nr = 1;
	status = link_read(track->base_path, &chain->links[0], err);
	if (status == 0)
		status = chain_complete(chain, err);
	for (unsigned i = 0; i < chain->nr && status == 0; i++)
		if (is_same_file(&there, chain->links[i].path))
			status = error_set(err, ERROR_USAGE,
					   "%s: an incremental snapshot cannot replace one that it builds on; name "
					   "another file",
					   path);
	chain_free(chain);
	return status;
}

/* The name under which a snapshot at path finds the base: in the same folder its plain name, else all of its path. */
static char *base_name_for(const struct track *track, const char *path)
{
	char *target = realpath(path, NULL); /* an older snapshot, perhaps by a symbolic link */
	char *copy = strdup(target != NULL ? target : path), *base = strdup(track->base_path), *name = NULL;
	struct stat folder;
	if (copy != NULL && base != NULL && stat(dirname(copy), &folder) == 0)
		name = strdup(is_same_file(&folder, dirname(base)) ? strrchr(track->base_path, '/') + 1
								   : track->base_path);
	free(target);
	free(copy);
	free(base);
	return name;
}

int track_describe(const struct track *track, struct image *image, const struct pages *pages, const char *path,
		   struct error *err)
{
	if (track->base_path == NULL)
		return 0;
	char *name = base_name_for(track, path);
	if (name == NULL)
		return error_errno(err, ERROR_CREATE, "%s: its folder", path);
	int status = image_set_parent(image, track->base_id, name, pages, err);
	free(name);
	return status;
}

int track_write(struct track *track, struct image *image, const char *path, struct error *err)
{
	struct pages *since = &track->since;
	bool is_whole = track->base_path == NULL;
	int status = track_check_path(track, path, err);
	if (status == 0)
		status = dirty_fetch(track->dirty, since, err);
	for (unsigned i = 0; i < since->nr_regions && status == 0; i++)
		status = dirty_clear(track->dirty, since, i, 0, since->nr_pages[i], err);
	if (status == 0)
		status = track_describe(track, image, since, path, err);
	if (status == 0)
		status = is_whole ? file_write(image, path, err) : file_write_pages(image, since, path, err);
	return status == 0 ? track_set_base(track, image->header.id, path, err) : status;
}

void track_free(struct track *track)
{
	if (track == NULL)
		return;
	dirty_free(track->dirty);
	pages_done(&track->since);
	free(track->base_path);
	free(track);
}
