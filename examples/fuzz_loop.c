/*
 * A fuzzing loop: a guest that parses an input in its memory is put back to the moment before it, thousands of times a
 * second, each time with another input, until one makes it fail.
 *
 * The target is a few instructions of 64-bit code.  It reaches its checkpoint, from which all runs start; then it reads
 * four bytes at INPUT_GPA and writes a verdict to the exit port: how many of them are those of "bug!", one after the
 * other.  The loop keeps inputs that got further than all before (a "coverage" of one number) and changes them at
 * random.
 *
 * Headers of the libraries that it uses: vmm/setup.h (a machine that is booted), vmm/vm.h (run it, its events),
 * vmm/memory.h (write into it), snapshot/rewind.h (put it back).
 *
 * Usage: fuzz_loop [SEED]; ends with 0 when the bug is found.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "snapshot/rewind.h"
#include "vmm/boot.h"
#include "vmm/setup.h"
#include "vmm/vm.h"

#define RAM_SIZE   (16u << 20)
#define INPUT_GPA  0x200000
#define INPUT_SIZE 4
#define TRIES_MAX  1000000

static const uint8_t target[] = {
	0xe7, 0xf8,                   /*    out %eax, $PORT_CHECKPOINT */
	0xbe, 0x00, 0x00, 0x20, 0x00, /*    mov $INPUT_GPA, %esi */
	0x31, 0xc0,                   /*    xor %eax, %eax */
	0x80, 0x3e, 'b',              /*    cmpb $'b', (%rsi) */
	0x75, 0x1a,                   /*    jne 1f */
	0xff, 0xc0,                   /*    inc %eax */
	0x80, 0x7e, 0x01, 'u',        /*    cmpb $'u', 1(%rsi) */
	0x75, 0x12,                   /*    jne 1f */
	0xff, 0xc0,                   /*    inc %eax */
	0x80, 0x7e, 0x02, 'g',        /*    cmpb $'g', 2(%rsi) */
	0x75, 0x0a,                   /*    jne 1f */
	0xff, 0xc0,                   /*    inc %eax */
	0x80, 0x7e, 0x03, '!',        /*    cmpb $'!', 3(%rsi) */
	0x75, 0x02,                   /*    jne 1f */
	0xff, 0xc0,                   /*    inc %eax */
	0xe7, 0xf4,                   /* 1: out %eax, $PORT_EXIT */
	0xf4,                         /*    hlt */
};

static void ignore_console(void *context, uint8_t byte)
{
	(void)context;
	(void)byte;
}

static const struct vm_ops ops = { .console = ignore_console };

/* A machine that has run to its first checkpoint, in this thread. */
static int boot_to_checkpoint(int kvm_fd, struct vm **ret, struct error *err)
{
	const struct setup setup = {
		.ram_size = RAM_SIZE, .nr_vcpus = 1, .irqchip = IRQCHIP_NONE, .baseline = CPUID_HOST
	};
	struct boot_request request = { .image = { .name = "target", .contents = { target, sizeof(target) } },
					.kind = BOOT_FLAT_LONG,
					.command_line = "" };
	struct vm_event event;
	int status = setup_boot(&setup, &request, kvm_fd, &ops, NULL, ret, err);
	if (status == 0)
		status = vm_start_here(*ret, err);
	if (status == 0 && (!vm_run_here(*ret, &event) || event.kind != VM_EVENT_CHECKPOINT))
		status = error_set(err, ERROR_INTERNAL, "the target did not come to its checkpoint");
	if (status == 0)
		vm_pause(*ret); /* finishes the checkpoint's instruction */
	return status;
}

/* One run: the input in, the verdict out, and back.  Anything but a verdict is a crash of the target. */
static int try_input(struct vm *vm, struct rewind *rewind, const uint8_t input[INPUT_SIZE], uint32_t *ret_verdict,
		     struct error *err)
{
	struct vm_event event = { 0 };
	if (!memory_write(&vm->memory, INPUT_GPA, input, INPUT_SIZE))
		return error_set(err, ERROR_INTERNAL, "the target's RAM ends before its input");
	if (!vm_run_here(vm, &event) || event.kind != VM_EVENT_EXIT)
		return error_set(err, ERROR_INTERNAL, "the target ended without a verdict");
	*ret_verdict = event.value;
	return rewind_to_point(rewind, err);
}

/* A generator of numbers that is the same everywhere: xorshift64 (Marsaglia 2003). */
static uint64_t number = 1;

static uint8_t next_number(void)
{
	number ^= number << 13;
	number ^= number >> 7;
	number ^= number << 17;
	return (uint8_t)(number >> 32);
}

static int fuzz(struct vm *vm, struct rewind *rewind, struct error *err)
{
	uint8_t best[INPUT_SIZE] = { 0 }, input[INPUT_SIZE];
	uint32_t best_verdict = 0, verdict;
	for (unsigned long tries = 1; tries <= TRIES_MAX; tries++) {
		memcpy(input, best, INPUT_SIZE);
		input[next_number() % INPUT_SIZE] = next_number();
		int status = try_input(vm, rewind, input, &verdict, err);
		if (status < 0)
			return status;
		if (verdict <= best_verdict)
			continue;
		best_verdict = verdict;
		memcpy(best, input, INPUT_SIZE);
		printf("%lu tries: %.*s gets to %u\n", tries, (int)verdict, (const char *)best, verdict);
		if (verdict == INPUT_SIZE)
			return 0;
	}
	return error_set(err, ERROR_DIFFERENT, "no bug in %d tries", TRIES_MAX);
}

int main(int argc, char **argv)
{
	struct error err;
	struct vm *vm = NULL;
	struct rewind *rewind = NULL;
	if (argc > 1)
		number = strtoull(argv[1], NULL, 0) | 1;
	int kvm_fd = kvm_open(&err), status = kvm_fd;
	if (status >= 0)
		status = boot_to_checkpoint(kvm_fd, &vm, &err);
	if (status >= 0)
		status = rewind_create(&rewind, vm, &err);
	if (status >= 0)
		status = fuzz(vm, rewind, &err);
	if (status < 0)
		fprintf(stderr, "fuzz_loop: %s\n", err.text);
	rewind_free(rewind);
	vm_free(vm);
	if (kvm_fd >= 0)
		close(kvm_fd);
	if (status == -ERROR_NO_KVM ||
	    status == -ERROR_PERMISSION) { /* no failure of ours: ctest counts it as skipped */
		printf("SKIPPED: %s\n", err.text);
		return 77;
	}
	return status < 0;
}
