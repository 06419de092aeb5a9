#include "component.h"

#include <stdio.h>
#include <string.h>

#include "restoring.h"

const struct component *component_by_id(uint16_t id)
{
	for (size_t i = 0; i < component_table_size; i++)
		if (component_table[i].id == id)
			return &component_table[i];
	return NULL;
}

const struct component *component_by_name(const char *name)
{
	for (size_t i = 0; i < component_table_size; i++)
		if (strcmp(component_table[i].name, name) == 0)
			return &component_table[i];
	return NULL;
}

unsigned component_instances(const struct component *component, const struct machine *machine)
{
	if ((component->with & 1 << machine->irqchip) == 0)
		return 0;
	return component->scope == COMPONENT_VCPU ? machine->nr_vcpus : 1;
}

void component_where(const struct component *component, unsigned instance, char *ret, size_t size)
{
	if (component->scope == COMPONENT_VCPU)
		snprintf(ret, size, "vcpu%u", instance);
	else
		snprintf(ret, size, "vm");
}

static int fd_of(const struct component *component, const struct vm *vm, unsigned instance)
{
	return component->scope == COMPONENT_VCPU ? vm->vcpus[instance].fd : vm->fd;
}

static void *in_vm(const struct component *component, struct vm *vm)
{
	return (uint8_t *)vm + component->offset;
}

int component_append(struct buffer *payload, const void *data, size_t size, struct error *err)
{
	return buffer_append(payload, data, size) != NULL ? 0 : error_set(err, ERROR_SYSTEM, "no memory");
}

int component_save(const struct component *component, struct vm *vm, unsigned instance, struct buffer *ret,
		   struct error *err)
{
	if (component->ops != NULL && component->ops->save != NULL)
		return component->ops->save(vm, instance, ret, err);
	if (component->offset != 0)
		return component_append(ret, in_vm(component, vm), component->schema->size, err);
	uint8_t *payload = buffer_append(ret, NULL, component->schema->size);
	if (payload == NULL)
		return error_set(err, ERROR_SYSTEM, "no memory");
	memcpy(payload, &component->select, sizeof(component->select));
	if (kvm_call_sized(fd_of(component, vm, instance), component->get, payload) < 0)
		return error_errno(err, ERROR_SYSTEM, "%s", kvm_request_name(component->get));
	return 0;
}

int component_read_back(const struct component *component, struct vm *vm, unsigned instance, uint8_t stages,
			struct buffer *ret, struct error *err)
{
	if (component->ops != NULL && component->ops->read_back != NULL)
		return component->ops->read_back(vm, instance, stages, ret, err);
	return component_save(component, vm, instance, ret, err);
}

int component_restore(const struct component *component, struct restore *restore, unsigned instance, enum stage stage,
		      struct bytes payload, struct error *err)
{
	if (component->ops != NULL && component->ops->restore != NULL)
		return component->ops->restore(restore, instance, stage, payload, err);
	if (component->offset != 0) {
		memcpy(in_vm(component, restore->vm), payload.data, component->schema->size);
		return 0;
	}
	/* The kernel only reads it; its ioctls take no pointer to const. */
	void *argument = (void *)(uintptr_t)payload.data;
	if (kvm_call_sized(fd_of(component, restore->vm, instance), component->set, argument) < 0)
		restore_refused(restore, component, instance, component->set);
	return 0;
}

static int validate_size(const struct component *component, size_t size, struct error *err)
{
	size_t unit = component->schema->size;
	switch (component->shape) {
	case COMPONENT_STRUCT:
		if (size != unit)
			return error_set(err, ERROR_DATA, "%zu bytes, expected %zu", size, unit);
		return 0;
	case COMPONENT_BLOB:
		if (size < unit)
			return error_set(err, ERROR_DATA, "%zu bytes, expected at least %zu", size, unit);
		return 0;
	default:
		if (size % unit != 0 || size / unit > COMPONENT_ENTRIES_MAX)
			return error_set(err, ERROR_DATA, "%zu bytes, expected at most %u entries of %zu", size,
					 COMPONENT_ENTRIES_MAX, unit);
		return 0;
	}
}

/* KVM_SET_IRQCHIP goes by the number in the payload: that of another chip would be written with this one's state. */
static int validate_select(const struct component *component, struct bytes payload, struct error *err)
{
	uint32_t selected;
	memcpy(&selected, payload.data, sizeof(selected));
	if (component->set == KVM_SET_IRQCHIP && selected != component->select)
		return error_set(err, ERROR_DATA, "chip_id is %u, expected %u", selected, component->select);
	return 0;
}

/* Each key stands once. */
static int validate_keys(const struct component *component, struct bytes payload, struct error *err)
{
	size_t unit = component->schema->size;
	for (size_t at = unit; at < payload.size; at += unit) {
		uint64_t key = component_key(payload.data + at);
		for (size_t before = 0; before < at; before += unit)
			if (component_key(payload.data + before) == key)
				return error_set(err, ERROR_DATA, "entries %zu and %zu have the same key",
						 before / unit, at / unit);
	}
	return 0;
}

int component_validate(const struct component *component, const struct machine *machine, unsigned instance,
		       struct bytes payload, struct error *err)
{
	int status = validate_size(component, payload.size, err);
	if (status == 0 && component->shape == COMPONENT_STRUCT)
		status = validate_select(component, payload, err);
	if (status == 0 && component->shape == COMPONENT_LIST)
		status = validate_keys(component, payload, err);
	if (status == 0 && component->ops != NULL && component->ops->validate != NULL)
		status = component->ops->validate(machine, instance, payload, err);
	return status;
}
