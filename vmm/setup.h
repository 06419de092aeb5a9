/*
 * From a boot image to a machine that is ready to run: RAM, CPUID, controllers, the image loaded, the first vCPU's
 * registers.
 */
#ifndef STASIS_VMM_SETUP_H
#define STASIS_VMM_SETUP_H

#include "boot.h"
#include "vm.h"

struct setup {
	uint64_t ram_size; /* bytes */
	uint32_t nr_vcpus, irqchip;
	enum cpuid_baseline baseline;
};

/*
 * Makes the machine and loads the image.  What the guest is told of the machine (request->nr_vcpus and so on) is filled
 * in. The machine is paused, without threads.  Errors name the image and what is wrong with it, or what this host
 * lacks.
 */
int setup_boot(const struct setup *setup, struct boot_request *request, int kvm_fd, const struct vm_ops *ops,
	       void *ops_context, struct vm **ret, struct error *err);

#endif
