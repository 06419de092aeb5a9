#include "dirty.h"

#include <stdlib.h>
#include <string.h>

#include "kvm.h"

struct dirty {
	struct vm *vm;
	bool is_manual;       /* KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 is enabled */
	struct pages log;     /* what KVM's ioctl fills */
	struct pages written; /* by memory_write() */
};

static bool is_tracked(const struct memory_region *region)
{
	return (region->range.flags & MEMORY_ROM) == 0;
}

static int set_logging(struct vm *vm, bool is_on, struct error *err)
{
	for (unsigned i = 0; i < vm->memory.nr_regions; i++)
		if (is_tracked(&vm->memory.regions[i]) && vm_set_slot(vm, i, is_on ? KVM_MEM_LOG_DIRTY_PAGES : 0) < 0)
			return error_errno(err, ERROR_SYSTEM, "memory slot %u: switching its dirty log %s", i,
					   is_on ? "on" : "off");
	return 0;
}

static void enable_manual(struct dirty *dirty, enum dirty_start start)
{
	uint64_t has = (uint64_t)kvm_capability(dirty->vm->fd, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2);
	uint64_t wanted = KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE;
	if (start == DIRTY_EVERYTHING)
		wanted |= has & KVM_DIRTY_LOG_INITIALLY_SET;
	dirty->is_manual = (has & KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE) != 0 &&
			   kvm_enable_capability(dirty->vm->fd, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, wanted) == 0;
}

int dirty_create(struct dirty **ret, struct vm *vm, enum dirty_start start, struct error *err)
{
	struct dirty *dirty = calloc(1, sizeof(*dirty));
	if (dirty == NULL)
		return error_set(err, ERROR_SYSTEM, "no memory for tracking RAM");
	dirty->vm = vm;
	int status = pages_create_for(&dirty->log, &vm->memory, err);
	if (status == 0)
		status = pages_create_for(&dirty->written, &vm->memory, err);
	if (status == 0) {
		for (unsigned i = 0; i < vm->memory.nr_regions; i++)
			vm->memory.regions[i].written = dirty->written.words[i];
		enable_manual(dirty, start);
		status = set_logging(vm, true, err);
	}
	if (status < 0) {
		dirty_free(dirty);
		return status;
	}
	*ret = dirty;
	return 0;
}

int dirty_fetch(struct dirty *dirty, struct pages *into, struct error *err)
{
	for (unsigned i = 0; i < dirty->log.nr_regions; i++) {
		struct kvm_dirty_log log = { .slot = i, .dirty_bitmap = dirty->log.words[i] };
		if (is_tracked(&dirty->vm->memory.regions[i]) && kvm_call(dirty->vm->fd, KVM_GET_DIRTY_LOG, &log) < 0)
			return error_errno(err, ERROR_SYSTEM, "memory slot %u: KVM_GET_DIRTY_LOG", i);
	}
	pages_unite(into, &dirty->log);
	if (!pages_are_none(&dirty->written)) {
		pages_unite(into, &dirty->written);
		pages_clear(&dirty->written);
	}
	return 0;
}

int dirty_clear(struct dirty *dirty, const struct pages *pages, unsigned region, uint64_t page, uint64_t nr,
		struct error *err)
{
	struct kvm_clear_dirty_log clear = {
		.slot = region,
		.num_pages = (uint32_t)nr,
		.first_page = page,
		.dirty_bitmap = pages->words[region] + page / PAGES_WORD,
	};
	if (!dirty->is_manual || !is_tracked(&dirty->vm->memory.regions[region]))
		return 0;
	if (kvm_call(dirty->vm->fd, KVM_CLEAR_DIRTY_LOG, &clear) < 0)
		return error_errno(err, ERROR_SYSTEM, "memory slot %u: KVM_CLEAR_DIRTY_LOG", region);
	return 0;
}

void dirty_free(struct dirty *dirty)
{
	struct error ignored;
	if (dirty == NULL)
		return;
	set_logging(dirty->vm, false, &ignored);
	for (unsigned i = 0; i < dirty->vm->memory.nr_regions; i++)
		dirty->vm->memory.regions[i].written = NULL;
	pages_done(&dirty->log);
	pages_done(&dirty->written);
	free(dirty);
}
