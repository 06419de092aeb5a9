/* The escape key: what reaches the guest is held against a second, plainer reading of the rules in terminal.h. */
#include "fuzz.h"
#include "vmm/terminal.h"

#define CTRL_A 1

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool in_escape = false;
	for (size_t i = 0; i < size; i++) {
		bool was_in_escape = in_escape;
		enum terminal_key key, expected = TERMINAL_NONE;
		bool is_guests = terminal_filter(&in_escape, data[i], &key);
		if (was_in_escape && data[i] == 'x')
			expected = TERMINAL_QUIT;
		else if (was_in_escape && data[i] == 's')
			expected = TERMINAL_SNAPSHOT;
		else if (was_in_escape && data[i] == 'h')
			expected = TERMINAL_HELP;
		FUZZ_CHECK(key == expected);
		FUZZ_CHECK(is_guests == (was_in_escape ? data[i] == CTRL_A : data[i] != CTRL_A));
		FUZZ_CHECK(in_escape == (!was_in_escape && data[i] == CTRL_A));
	}
	return 0;
}
