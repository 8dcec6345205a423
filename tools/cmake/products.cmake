# SPDX-License-Identifier: BSD-2-Clause
# The list of files this build makes for images (products.txt): the composer checks a system description against it
# before anything is built.

# cairn_product(PATH TARGET): PATH is relative to the build directory.
function(cairn_product path target)
	set_property(GLOBAL APPEND PROPERTY CAIRN_PRODUCTS ${path})
	set_property(GLOBAL APPEND PROPERTY CAIRN_PRODUCT_TARGETS ${target})
endfunction()

# Called once, at the end: writes the list, and makes image-NAME for each systems/NAME.toml.
function(cairn_finish)
	get_property(products GLOBAL PROPERTY CAIRN_PRODUCTS)
	get_property(targets GLOBAL PROPERTY CAIRN_PRODUCT_TARGETS)
	if(TARGET kernel.elf)
		list(APPEND products kernel/kernel.elf)
		list(APPEND targets kernel.elf)
	endif()
	list(SORT products)
	list(REMOVE_DUPLICATES targets)
	list(JOIN products "\n" text)
	file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/products.txt CONTENT "${text}\n" @ONLY)
	add_custom_target(products DEPENDS ${targets})

	# tests.txt: the host tests of this build, for ./check (the directory may hold those of earlier ones).
	get_property(tests GLOBAL PROPERTY CAIRN_TESTS)
	list(SORT tests)
	list(JOIN tests "\n" text)
	file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/tests.txt CONTENT "${text}\n" @ONLY)

	file(GLOB systems CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/systems/*.toml)
	foreach(system IN LISTS systems)
		get_filename_component(name ${system} NAME_WE)
		add_custom_target(image-${name}
			COMMAND ${CAIRN_PYTHON} ${CMAKE_SOURCE_DIR}/tools/compose ${system}
				--build ${CMAKE_BINARY_DIR}
			DEPENDS products
			COMMENT "Composing ${name}"
			VERBATIM)
	endforeach()
endfunction()
