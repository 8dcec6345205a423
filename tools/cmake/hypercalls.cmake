# SPDX-License-Identifier: BSD-2-Clause
# The headers generated from kernel/abi/hypercalls.toml: target cairn_hypercalls. It fails where the manual's sections differ.

set(cairn_hypercall_headers
	${CAIRN_GENERATED}/cairn/hypercall_numbers.h
	${CAIRN_GENERATED}/cairn/hypercalls.h)

add_custom_command(
	OUTPUT ${cairn_hypercall_headers}
	COMMAND ${CAIRN_PYTHON} ${CMAKE_SOURCE_DIR}/tools/gen_hypercalls.py
		${CMAKE_SOURCE_DIR}/kernel/abi/hypercalls.toml ${CAIRN_GENERATED}/cairn
		${CMAKE_SOURCE_DIR}/docs/manual/hypercalls.md
	DEPENDS ${CMAKE_SOURCE_DIR}/tools/gen_hypercalls.py
		${CMAKE_SOURCE_DIR}/kernel/abi/hypercalls.toml
		${CMAKE_SOURCE_DIR}/docs/manual/hypercalls.md
	COMMENT "Generating the hypercall headers"
	VERBATIM)
add_custom_target(cairn_hypercalls DEPENDS ${cairn_hypercall_headers})
