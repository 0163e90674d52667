/* SPDX-License-Identifier: Apache-2.0 */
/* The frame of every unit test program. */
#ifndef DORMOUSE_TESTS_UNIT_H
#define DORMOUSE_TESTS_UNIT_H

#include <stdlib.h>

#include <CUnit/Basic.h>

#define UNIT_TEST(function) {#function, function}

struct unit_test {
    const char *name;
    void (*function)(void);
};

/* Runs the tests in order. Exit status 0 only if every assertion held and at least one test ran:
 * CU_basic_run_tests alone does not tell. */
static inline int
unit_run(const char *suite_name, const struct unit_test *tests, size_t count)
{
    if (CU_initialize_registry() != CUE_SUCCESS)
        return EXIT_FAILURE;
    CU_pSuite suite = CU_add_suite(suite_name, NULL, NULL);
    for (size_t i = 0; suite != NULL && i < count; i++)
        if (CU_add_test(suite, tests[i].name, tests[i].function) == NULL)
            suite = NULL;
    int status = EXIT_FAILURE;
    if (suite != NULL) {
        CU_basic_set_mode(CU_BRM_VERBOSE);
        CU_basic_run_tests();
        if (CU_get_number_of_failures() == 0 && CU_get_number_of_tests_run() == count)
            status = EXIT_SUCCESS;
    }
    CU_cleanup_registry();
    return status;
}

#define UNIT_MAIN(suite_name, tests)                                                               \
    int main(void)                                                                                 \
    {                                                                                              \
        return unit_run(suite_name, tests, sizeof(tests) / sizeof((tests)[0]));                     \
    }

#endif
