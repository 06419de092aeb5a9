/* Names of registers: any text that is taken for one, and the name of any id, lead back to the id. */
#include "fuzz.h"
#include "vmm/kvm_reg.h"

static void check_id(uint64_t id, uint64_t value, uint64_t other)
{
	char name[KVM_REG_NAME_MAX], bits[64];
	uint64_t again;
	kvm_reg_name(id, name);
	FUZZ_CHECK(name[0] != '\0' && strnlen(name, sizeof(name)) < sizeof(name));
	/* A number that is as small as an MSR's is taken for one. */
	if (id > UINT32_MAX)
		FUZZ_CHECK(kvm_reg_parse(name, &again) && again == id);
	const struct kvm_reg_info *info = kvm_reg_info(id);
	if (info == NULL)
		return;
	kvm_reg_decode(info->bits, value, bits, sizeof(bits));
	FUZZ_CHECK(strnlen(bits, sizeof(bits)) < sizeof(bits));
	kvm_reg_decode_difference(info->bits, value, other, bits, sizeof(bits));
	FUZZ_CHECK(strnlen(bits, sizeof(bits)) < sizeof(bits));
	FUZZ_CHECK(info->bits == NULL || (bits[0] == '\0') == (value == other));
}

/* id, value, another value, then the text. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes input = { data, size };
	uint64_t id = fuzz_take(&input, 8), value = fuzz_take(&input, 8), other = fuzz_take(&input, 8);
	check_id(id, value, other);
	check_id(KVM_X86_REG_MSR((uint32_t)id), value, other);
	char *text = fuzz_take_string(&input, input.size);
	if (kvm_reg_parse(text, &id))
		check_id(id, value, other);
	free(text);
	return 0;
}
