#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "guest/guests.h"
#include "vmm/io.h"

#define SECTOR    512
#define IMAGE_MAX (64 << 10)

START_TEST(names_find_their_rows)
{
	unsigned nr = 0;
	for (const struct guest *guest = guests(); guest->name != NULL; guest++, nr++) {
		ck_assert_ptr_eq(guest_find(guest->name), guest);
		ck_assert_ptr_nonnull(guest->description);
	}
	ck_assert_uint_eq(nr, 10);
	ck_assert_ptr_null(guest_find("nothing"));
	ck_assert_ptr_null(guest_find(""));
}
END_TEST

START_TEST(every_guest_can_run_somewhere)
{
	for (const struct guest *guest = guests(); guest->name != NULL; guest++) {
		ck_assert_uint_ge(guest->vcpus_min, 1);
		ck_assert_uint_le(guest->vcpus_min, guest->vcpus_max);
		ck_assert_uint_le(guest->vcpus_max, 16);
		ck_assert_ptr_null(guest->cannot[IRQCHIP_FULL]);
		/* Without a controller there is one CPU, and nothing that wakes another. */
		if (guest->vcpus_max > 1)
			ck_assert_ptr_nonnull(guest->cannot[IRQCHIP_NONE]);
	}
}
END_TEST

START_TEST(boot_sectors_have_their_size_and_signature)
{
	for (const struct guest *guest = guests(); guest->name != NULL; guest++) {
		struct buffer image = { 0 };
		ck_assert(guest_image(guest, &image));
		if (guest->is_long) {
			ck_assert_uint_gt(image.size, SECTOR);
			ck_assert_uint_lt(image.size, IMAGE_MAX);
		} else {
			ck_assert_uint_eq(image.size, SECTOR);
			ck_assert_uint_eq(image.data[SECTOR - 2], 0x55);
			ck_assert_uint_eq(image.data[SECTOR - 1], 0xaa);
		}
		buffer_done(&image);
	}
}
END_TEST

START_TEST(images_are_those_of_the_build_folder)
{
	for (const struct guest *guest = guests(); guest->name != NULL; guest++) {
		char path[4096];
		struct buffer file = { 0 }, image = { 0 };
		struct error err;
		ck_assert(guest_image(guest, &image));
		/* memory-smp is memory on other machines. */
		snprintf(path, sizeof(path), "%s/%.*s.bin", GUEST_FOLDER, (int)strcspn(guest->name, "-"), guest->name);
		ck_assert_int_eq(io_read_file(path, IMAGE_MAX, &file, &err), 0);
		ck_assert_uint_eq(file.size, image.size);
		ck_assert_mem_eq(file.data, image.data, image.size);
		buffer_done(&file);
		buffer_done(&image);
	}
}
END_TEST

UNIT_MAIN("guests", names_find_their_rows, every_guest_can_run_somewhere, boot_sectors_have_their_size_and_signature,
	  images_are_those_of_the_build_folder)
