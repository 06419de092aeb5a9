/*
 * A snapshot file or stream whose state has been read and whose RAM has not: what file_chain.c finds the parents of,
 * and file_read.c reads the RAM of.
 */
#ifndef STASIS_SNAPSHOT_FILE_LINK_H
#define STASIS_SNAPSHOT_FILE_LINK_H

#include "format.h"
#include "image.h"

#define CHAIN_MAX 32 /* snapshots from one to its whole ancestor, both counted */

/* Where a snapshot is read from. */
struct source {
	int fd;             /* -1: from memory */
	struct bytes bytes; /* then these */
	const char *name;
	uint64_t offset; /* how much has been read */
	bool is_file;    /* a regular file from its start */
	bool can_map;    /* it is, and RAM may stay in it */
	uint64_t size;   /* of a regular file */
};

/* Reads on; what is for errors.  ERROR_DATA: fewer bytes are there. */
int source_read(struct source *source, void *ret, size_t size, const char *what, struct error *err);

struct link {
	char *path; /* owned */
	struct source source;
	struct format_header header;
	struct format_section *table; /* owned */
	struct image image;           /* without RAM */
};

/*
 * Opens a snapshot, "-" is standard input, and reads and checks all but its RAM.  The caller ends *ret (link_done()),
 * also where it fails.
 */
int link_read(const char *path, struct link *ret, struct error *err);

/* Takes all zero. */
void link_done(struct link *link);

/* A snapshot, its parent, its parent's parent, and so on, up to one that is whole. */
struct chain {
	struct link links[CHAIN_MAX];
	unsigned nr;
};

/*
 * Reads the parents of links[0], which has been read: each is found by the name that its child has for it, and known by
 * its id.  Errors name the child and the parent: missing (ERROR_NO_INPUT), of another id or another RAM, in a circle,
 * too many (ERROR_DATA).
 */
int chain_complete(struct chain *chain, struct error *err);

void chain_free(struct chain *chain);

#endif
