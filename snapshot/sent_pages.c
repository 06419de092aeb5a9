#include "sent_pages.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define COPIES_SIZE ((size_t)SENT_PAGES_MAX * MEMORY_PAGE)
#define NO_PAGE     UINT64_MAX

static size_t slot_of(uint64_t gpa)
{
	return gpa / MEMORY_PAGE % SENT_PAGES_MAX;
}

int sent_pages_create(struct sent_pages *ret, struct error *err)
{
	void *copies =
		mmap(NULL, COPIES_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (copies == MAP_FAILED)
		return error_set(err, ERROR_SYSTEM, "no memory for copies of %zu bytes of RAM: %s", COPIES_SIZE,
				 strerror(errno));
	ret->copies = copies;
	for (size_t i = 0; i < SENT_PAGES_MAX; i++)
		ret->gpas[i] = NO_PAGE;
	return 0;
}

void sent_pages_done(struct sent_pages *sent)
{
	if (sent->copies != NULL)
		munmap(sent->copies, COPIES_SIZE);
	sent->copies = NULL;
}

bool sent_pages_has(const struct sent_pages *sent, uint64_t gpa, const uint8_t *page)
{
	size_t slot = slot_of(gpa);
	return sent->gpas[slot] == gpa && memcmp(sent->copies + slot * MEMORY_PAGE, page, MEMORY_PAGE) == 0;
}

void sent_pages_keep(struct sent_pages *sent, uint64_t gpa, const uint8_t *page)
{
	size_t slot = slot_of(gpa);
	memcpy(sent->copies + slot * MEMORY_PAGE, page, MEMORY_PAGE);
	sent->gpas[slot] = gpa;
}

void sent_pages_forget(struct sent_pages *sent, uint64_t gpa)
{
	size_t slot = slot_of(gpa);
	if (sent->gpas[slot] == gpa)
		sent->gpas[slot] = NO_PAGE;
}
