#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cold.h"
#include "command.h"
#include "kvm.h"
#include "kvm_reg_rules.h"
#include "setup.h"
#include "snapshot/registers.h"
#include "vcpu.h"

/* What decides what a host can do, by capability. */
static const struct {
	unsigned capability;
	char name[36], what[40];
} rows[] COLD = {
	{ KVM_CAP_ONE_REG, "KVM_CAP_ONE_REG", "registers by ONE_REG" },
	{ KVM_CAP_NR_MEMSLOTS, "KVM_CAP_NR_MEMSLOTS", "memory slots" },
	{ KVM_CAP_MAX_VCPUS, "KVM_CAP_MAX_VCPUS", "vCPUs of a machine" },
	{ KVM_CAP_IRQCHIP, "KVM_CAP_IRQCHIP", "interrupt controllers in the kernel" },
	{ KVM_CAP_PIT2, "KVM_CAP_PIT2", "timer in the kernel" },
	{ KVM_CAP_SPLIT_IRQCHIP, "KVM_CAP_SPLIT_IRQCHIP", "LAPICs alone in the kernel" },
	{ KVM_CAP_TSC_DEADLINE_TIMER, "KVM_CAP_TSC_DEADLINE_TIMER", "TSC-deadline timer" },
	{ KVM_CAP_TSC_CONTROL, "KVM_CAP_TSC_CONTROL", "a TSC of another frequency" },
	{ KVM_CAP_XSAVE2, "KVM_CAP_XSAVE2", "bytes of the FPU's state" },
	{ KVM_CAP_SREGS2, "KVM_CAP_SREGS2", "PDPTRs in the segment registers" },
	{ KVM_CAP_NESTED_STATE, "KVM_CAP_NESTED_STATE", "bytes of nested virtualization's state" },
	{ KVM_CAP_EXCEPTION_PAYLOAD, "KVM_CAP_EXCEPTION_PAYLOAD", "exceptions with their payload" },
	{ KVM_CAP_X86_TRIPLE_FAULT_EVENT, "KVM_CAP_X86_TRIPLE_FAULT_EVENT", "pending triple faults" },
	{ KVM_CAP_X86_SMM, "KVM_CAP_X86_SMM", "system management mode" },
	{ KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, "KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2", "dirty log cleared by hand" },
	{ KVM_CAP_DIRTY_LOG_RING, "KVM_CAP_DIRTY_LOG_RING", "dirty ring" },
	{ KVM_CAP_SYNC_REGS, "KVM_CAP_SYNC_REGS", "registers that ride on KVM_RUN" },
};

struct host {
	const struct options *options;
	struct json json;
	unsigned verdicts[KVM_REG_RULE_VERDICTS];
};

static void show_rule(const struct kvm_reg_rule_result *rule, void *context)
{
	struct host *host = context;
	char expected[32], found[32];
	kvm_reg_answer_text(rule->documented, true, expected, sizeof(expected));
	kvm_reg_answer_text(rule->found, false, found, sizeof(found));
	host->verdicts[rule->verdict]++;
	if (host->options->json) {
		json_object_begin(&host->json, NULL);
		json_string(&host->json, "rule", rule->name);
		json_string(&host->json, "verdict", kvm_reg_verdict_name(rule->verdict));
		json_string(&host->json, "text", rule->text);
		json_string(&host->json, "documented", expected);
		json_string(&host->json, "found", found);
		json_object_end(&host->json);
		return;
	}
	printf("one_reg %-28s %s: %s", rule->name, kvm_reg_verdict_name(rule->verdict), rule->text);
	if (rule->verdict == KVM_REG_RULE_DIFFERENT || rule->verdict == KVM_REG_RULE_V13)
		printf(" (found %s, documented %s%s%s)", found, expected, rule->fault != NULL ? "; " : "",
		       rule->fault != NULL ? rule->fault : "");
	printf("\n");
}

static void show_value(struct host *host, const char *name, const char *value)
{
	if (host->options->json)
		json_string(&host->json, name, value);
	else
		printf("%s: %s\n", name, value);
}

static void show_system(struct host *host, const struct cpuid *cpuid)
{
	struct utsname name;
	char text[160], vendor[13];
	uname(&name);
	snprintf(text, sizeof(text), "%.15s %.100s", name.sysname, name.release);
	show_value(host, "kernel", text);
	cpuid_vendor(cpuid, vendor);
	show_value(host, "vendor", vendor);
	post_copy_show(host->options->json ? &host->json : NULL);
}

static void show_capabilities(struct host *host, int kvm_fd)
{
	cold_unpack();
	if (host->options->json)
		json_object_begin(&host->json, "capabilities");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int value = kvm_capability(kvm_fd, rows[i].capability);
		if (host->options->json)
			json_number(&host->json, rows[i].name, (uint64_t)value);
		else
			printf("capability %-34s %-8d %s\n", rows[i].name, value, rows[i].what);
	}
	if (host->options->json)
		json_object_end(&host->json);
}

/* What would be in a snapshot of a vCPU of this host, and what of the kernel's list would not. */
static int show_registers(struct host *host, const struct vm *vm, struct error *err)
{
	uint64_t *ids, *listed;
	size_t nr, nr_listed, readable = 0, msrs = 0, synthetic = 0;
	int status = registers_list(vm, 0, UINT8_MAX, &ids, &nr, err);
	if (status < 0)
		return status;
	status = kvm_reg_list_msrs(vm->kvm_fd, &listed, &nr_listed, err);
	for (size_t i = 0; i < nr && status == 0; i++) {
		uint64_t value;
		if (kvm_reg_get(vm->vcpus[0].fd, vm->reg_access, ids[i], &value) != 0)
			continue;
		readable++;
		msrs += kvm_reg_is_msr(ids[i]);
		synthetic += kvm_reg_is_synthetic(ids[i]);
	}
	if (status == 0 && host->options->json) {
		json_number(&host->json, "msrs_listed", nr_listed);
		json_number(&host->json, "msrs_saved", msrs);
		json_number(&host->json, "synthetic_saved", synthetic);
	} else if (status == 0) {
		printf("registers: %zu MSRs listed by KVM; %zu in a snapshot: %zu MSRs, %zu synthetic\n", nr_listed,
		       readable, msrs, synthetic);
	}
	free(ids);
	if (status == 0)
		free(listed);
	return status;
}

static void discard(void *context, uint8_t byte)
{
	(void)context;
	(void)byte;
}

/* A machine of one vCPU that never runs, with everything in its CPUID that this host has. */
static int make_machine(int kvm_fd, const struct cpuid *cpuid, struct vm **ret, struct error *err)
{
	static const struct vm_ops silent = { .console = discard };
	struct machine machine = { .nr_vcpus = 1, .irqchip = IRQCHIP_FULL };
	struct memory memory = { 0 };
	int status = memory_add_ram(&memory, MEMORY_RAM_MIN, err);
	machine_defaults(&machine, kvm_fd);
	machine.nr_ranges = 1;
	machine.ranges[0] = memory.regions[0].range;
	if (status == 0)
		status = vm_create(ret, kvm_fd, -1, &machine, &memory, &silent, NULL, err);
	memory_done(&memory);
	if (status == 0 && vcpu_set_cpuid(&(*ret)->vcpus[0], cpuid->entries, cpuid->nent) < 0)
		status = error_errno(err, ERROR_SYSTEM, "KVM_SET_CPUID2");
	return status;
}

static int show(struct host *host, int kvm_fd, struct error *err)
{
	struct cpuid cpuid;
	struct vm *vm = NULL;
	int status = cpuid_supported(kvm_fd, &cpuid, err);
	if (status == 0)
		status = make_machine(kvm_fd, &cpuid, &vm, err);
	if (status == 0) {
		show_system(host, &cpuid);
		show_capabilities(host, kvm_fd);
		status = show_registers(host, vm, err);
	}
	if (status == 0) {
		if (host->options->json)
			json_array_begin(&host->json, "one_reg");
		kvm_reg_rules_run(kvm_fd, vm->vcpus[0].fd, cpuid_has(&cpuid, CPUID_SHSTK), show_rule, host);
		if (host->options->json)
			json_array_end(&host->json);
	}
	vm_free(vm);
	return status;
}

static int host(const struct options *options, int *ret_status, struct error *err)
{
	struct host host = { .options = options, .json = { .out = stdout } };
	int kvm_fd = kvm_open(err);
	if (kvm_fd < 0)
		return kvm_fd;
	if (options->json)
		json_object_begin(&host.json, NULL);
	int status = show(&host, kvm_fd, err);
	close(kvm_fd);
	if (status < 0)
		return status;
	if (options->json) {
		json_object_end(&host.json);
		json_end(&host.json);
	} else {
		printf("one_reg rules:");
		for (unsigned i = 0; i < KVM_REG_RULE_VERDICTS; i++)
			printf(" %u %s%s", host.verdicts[i], kvm_reg_verdict_name((enum kvm_reg_verdict)i),
			       i + 1 < KVM_REG_RULE_VERDICTS ? "," : "\n");
	}
	*ret_status = 0;
	return 0;
}

const struct command command_host = {
	.name = "host",
	.arguments = "",
	.summary = "what this host's KVM offers; ONE_REG, rule by rule",
	.options = OPTIONS_JSON,
	.run = host,
};
