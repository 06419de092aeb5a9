/*
 * What a rewind costs, against the least that could be called one: KVM_RUN to an exit, KVM_GET_DIRTY_LOG, eight pages
 * copied, KVM_SET_REGS and KVM_SET_SREGS.  Both are done in turn on machines of the same guest, which writes eight
 * pages; medians and minimums of many, and their ratios.
 *
 * Usage: rewind [ROUNDS [MIB [none|split|full [bare|rewind]]]]; the last: nothing but this one's median is printed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "snapshot/rewind.h"
#include "tests/images/eight_pages.h"
#include "vmm/boot.h"
#include "vmm/setup.h"
#include "vmm/vm.h"

static void fail(const char *what, const struct error *err)
{
	fprintf(stderr, "rewind: %s%s%s\n", what, err != NULL ? ": " : "", err != NULL ? err->text : "");
	exit(1);
}

static void ignore_console(void *context, uint8_t byte)
{
	(void)context;
	(void)byte;
}

static const struct vm_ops ops = { .console = ignore_console };

static struct vm *boot(int kvm_fd, uint64_t ram_size, uint32_t irqchip)
{
	const struct setup setup = { .ram_size = ram_size, .nr_vcpus = 1, .irqchip = irqchip, .baseline = CPUID_HOST };
	struct boot_request request = { .image = { .name = "eight pages",
						   .contents = { eight_pages, sizeof(eight_pages) } },
					.kind = BOOT_FLAT_LONG,
					.command_line = "" };
	struct vm *vm;
	struct vm_event event;
	struct error err;
	if (setup_boot(&setup, &request, kvm_fd, &ops, NULL, &vm, &err) < 0 || vm_start_here(vm, &err) < 0)
		fail("booting", &err);
	if (!vm_run_here(vm, &event) || event.kind != VM_EVENT_CHECKPOINT)
		fail("the guest came to no checkpoint", NULL);
	vm_pause(vm);
	return vm;
}

static double now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* The bare loop, on a machine that nothing else is done with. */
struct bare {
	struct vm *vm;
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	uint64_t *bitmap;
	uint8_t pages[EIGHT_PAGES][MEMORY_PAGE];
};

static void bare_init(struct bare *bare)
{
	const struct memory_region *region = &bare->vm->memory.regions[0];
	struct kvm_userspace_memory_region slot = { .flags = KVM_MEM_LOG_DIRTY_PAGES,
						    .memory_size = region->range.size,
						    .userspace_addr = (uintptr_t)region->hva };
	int fd = bare->vm->vcpus[0].fd;
	bare->bitmap = calloc(region->range.size / MEMORY_PAGE / 64 + 1, sizeof(uint64_t));
	if (bare->bitmap == NULL || kvm_call(bare->vm->fd, KVM_SET_USER_MEMORY_REGION, &slot) < 0 ||
	    kvm_call(fd, KVM_GET_REGS, &bare->regs) < 0 || kvm_call(fd, KVM_GET_SREGS, &bare->sregs) < 0)
		fail("the bare loop cannot start", NULL);
}

static void bare_round(struct bare *bare)
{
	struct kvm_dirty_log log = { .dirty_bitmap = bare->bitmap };
	int fd = bare->vm->vcpus[0].fd;
	if (kvm_call_value(fd, KVM_RUN, 0) < 0 || bare->vm->vcpus[0].run->exit_reason != KVM_EXIT_IO ||
	    kvm_call(bare->vm->fd, KVM_GET_DIRTY_LOG, &log) < 0)
		fail("the bare loop", NULL);
	for (unsigned i = 0; i < EIGHT_PAGES; i++)
		memcpy(bare->vm->memory.regions[0].hva + EIGHT_PAGES_GPA + i * MEMORY_PAGE, bare->pages[i],
		       MEMORY_PAGE);
	if (kvm_call(fd, KVM_SET_REGS, &bare->regs) < 0 || kvm_call(fd, KVM_SET_SREGS, &bare->sregs) < 0)
		fail("the bare loop", NULL);
}

static void our_round(struct vm *vm, struct rewind *rewind)
{
	struct vm_event event;
	struct error err;
	if (!vm_run_here(vm, &event) || event.kind != VM_EVENT_EXIT || event.value != 1)
		fail("the guest did not begin anew", NULL);
	if (rewind_to_point(rewind, &err) < 0)
		fail("rewinding", &err);
}

static int by_size(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;
	return left < right ? -1 : left > right;
}

int main(int argc, char **argv)
{
	static const char *const irqchips[] = { "none", "split", "full" };
	unsigned long rounds = argc > 1 ? strtoul(argv[1], NULL, 0) : 20000,
		      mib = argc > 2 ? strtoul(argv[2], NULL, 0) : 128;
	uint32_t irqchip = IRQCHIP_FULL;
	struct error err;
	struct rewind *rewind;
	for (uint32_t i = 0; argc > 3 && i < 3; i++)
		if (strcmp(argv[3], irqchips[i]) == 0)
			irqchip = i;
	int kvm_fd = kvm_open(&err);
	if (kvm_fd < 0)
		fail("no KVM", &err);
	struct bare bare = { .vm = boot(kvm_fd, mib << 20, irqchip) };
	struct vm *vm = boot(kvm_fd, mib << 20, irqchip);
	double *times[2] = { calloc(rounds, sizeof(double)), calloc(rounds, sizeof(double)) };
	if (rounds == 0 || times[0] == NULL || times[1] == NULL || rewind_create(&rewind, vm, &err) < 0)
		fail("no point to rewind to", &err);
	bare_init(&bare);
	for (unsigned long i = 0; i < rounds; i++) {
		double start = now_us();
		bare_round(&bare);
		double middle = now_us();
		our_round(vm, rewind);
		times[0][i] = middle - start;
		times[1][i] = now_us() - middle;
	}
	for (unsigned i = 0; i < 2; i++)
		qsort(times[i], rounds, sizeof(double), by_size);
	double least[2] = { times[0][0], times[1][0] }, median[2] = { times[0][rounds / 2], times[1][rounds / 2] };
	if (argc > 4) {
		printf("%.2f\n", median[strcmp(argv[4], "bare") != 0]);
	} else {
		printf("%lu rounds, %lu MiB, controller %s, %d pages\n", rounds, mib, irqchips[irqchip], EIGHT_PAGES);
		printf("bare loop  minimum %6.1f us, median %6.1f us\n", least[0], median[0]);
		printf("rewind     minimum %6.1f us, median %6.1f us\n", least[1], median[1]);
		printf("ratio      minimum %6.2f,    median %6.2f\n", least[1] / least[0], median[1] / median[0]);
	}
	rewind_free(rewind);
	vm_free(vm);
	vm_free(bare.vm);
	free(bare.bitmap);
	free(times[0]);
	free(times[1]);
	close(kvm_fd);
	return 0;
}
