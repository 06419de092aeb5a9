/*
 * Stands in for libFuzzer where a target is built without it: runs the target over the files of the folders named on
 * the command line, so that every build's tests replay what fuzzing found.
 */
#include <dirent.h>

#include "fuzz.h"
#include "vmm/io.h"

#define INPUT_MAX (1u << 20)

static void replay(const char *folder, const char *name)
{
	char path[4096];
	struct buffer input = { 0 };
	struct error err;
	FUZZ_CHECK(snprintf(path, sizeof(path), "%s/%s", folder, name) < (int)sizeof(path));
	if (io_read_file(path, INPUT_MAX, &input, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		abort();
	}
	/* Memory of just that size, so that a sanitizer sees a read behind it. */
	uint8_t *data = malloc(input.size);
	FUZZ_CHECK(data != NULL || input.size == 0);
	if (input.size > 0)
		memcpy(data, input.data, input.size);
	fprintf(stderr, "%s\n", path);
	LLVMFuzzerTestOneInput(data, input.size);
	free(data);
	buffer_done(&input);
}

int main(int argc, char **argv)
{
	unsigned nr = 0;
	for (int i = 1; i < argc; i++) {
		DIR *folder = opendir(argv[i]);
		FUZZ_CHECK(folder != NULL);
		for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
			if (entry->d_name[0] != '.') {
				replay(argv[i], entry->d_name);
				nr++;
			}
		closedir(folder);
	}
	printf("%u inputs\n", nr);
	return nr > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
