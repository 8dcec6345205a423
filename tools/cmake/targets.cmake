# SPDX-License-Identifier: BSD-2-Clause
# One function for each kind of thing that is built. Every directory's CMakeLists.txt uses these.
#
#   cairn_server(NAME SOURCES a.c … [INCLUDES dirs] [LIBS libs])          target server-NAME, servers/NAME.elf
#   cairn_server_library(NAME SOURCES a.c … [INCLUDES dirs] [LIBS libs])  static library NAME for servers
#   cairn_nano_guest(NAME SOURCES a.S … [INCLUDES dirs] [SCRIPT x.ld])    target guest-NAME, guests/NAME.elf
#   cairn_guest_program(NAME SOURCES a.c … [INCLUDES dirs] [LIBS libs])   target linux-NAME, guest-linux/NAME
#   cairn_host_test(NAME SOURCES a.c … [INCLUDES dirs] [LIBS libs] [DEFINES d])  target test-NAME, tests/NAME

macro(_cairn_arguments)
	cmake_parse_arguments(ARG "" "SCRIPT" "SOURCES;INCLUDES;LIBS;DEFINES" ${ARGN})
	if(ARG_UNPARSED_ARGUMENTS OR NOT ARG_SOURCES)
		message(FATAL_ERROR "${name}: needs SOURCES, and does not know: ${ARG_UNPARSED_ARGUMENTS}")
	endif()
endmacro()

function(cairn_server_library name)
	_cairn_arguments(${ARGN})
	add_library(${name} STATIC ${ARG_SOURCES})
	cairn_server_flags(${name})
	target_include_directories(${name} PRIVATE ${ARG_INCLUDES})
	target_compile_definitions(${name} PRIVATE ${ARG_DEFINES})
	target_link_libraries(${name} PRIVATE ${ARG_LIBS})
endfunction()

# A static ELF at 0x400000 (ld's own default for a program that is not PIE). Its start-up code is `_start` of
# library cairn; pages are either writable or executable, never both.
function(cairn_server name)
	_cairn_arguments(${ARGN})
	set(target server-${name})
	add_executable(${target} ${ARG_SOURCES})
	cairn_server_flags(${target})
	target_include_directories(${target} PRIVATE ${ARG_INCLUDES})
	target_compile_definitions(${target} PRIVATE ${ARG_DEFINES})
	set_target_properties(${target} PROPERTIES
		OUTPUT_NAME ${name}.elf RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/servers)
	target_link_options(${target} PRIVATE -nostdlib -nostartfiles -static -no-pie
		-Wl,--build-id=none -Wl,-z,noexecstack -Wl,-z,separate-code -Wl,-z,norelro
		-Wl,-z,max-page-size=4096 -Wl,--gc-sections -Wl,-u,_start -Wl,-e,_start)
	target_link_libraries(${target} PRIVATE ${ARG_LIBS}
		-Wl,--start-group cairn ${CAIRN_MUSL_LIB}/libc.a ${CAIRN_LIBGCC} -Wl,--end-group)
	cairn_product(servers/${name}.elf ${target})
endfunction()

# A payload that brings its own entry (a PVH note in section .note.*); loaded at 1 MiB unless SCRIPT says otherwise.
function(cairn_nano_guest name)
	_cairn_arguments(${ARGN})
	set(target guest-${name})
	if(NOT ARG_SCRIPT)
		set(ARG_SCRIPT ${CMAKE_SOURCE_DIR}/tools/cmake/nano-guest.ld)
	endif()
	get_filename_component(script ${ARG_SCRIPT} ABSOLUTE)
	add_executable(${target} ${ARG_SOURCES})
	cairn_nano_flags(${target})
	target_include_directories(${target} PRIVATE ${ARG_INCLUDES})
	target_compile_definitions(${target} PRIVATE ${ARG_DEFINES})
	set_target_properties(${target} PROPERTIES
		OUTPUT_NAME ${name}.elf RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/guests
		LINK_DEPENDS ${script})
	target_link_options(${target} PRIVATE -Wl,-T,${script})
	target_link_libraries(${target} PRIVATE ${ARG_LIBS})
	cairn_product(guests/${name}.elf ${target})
endfunction()

# A static program for Linux (the initramfs), with musl's own start-up files.
function(cairn_guest_program name)
	_cairn_arguments(${ARGN})
	set(target linux-${name})
	add_executable(${target} ${ARG_SOURCES})
	_cairn_c_and_asm(${target} ${CAIRN_C} ${CAIRN_WARNINGS} ${CAIRN_BARE} ${CAIRN_MUSL})
	target_include_directories(${target} PRIVATE ${ARG_INCLUDES})
	target_compile_definitions(${target} PRIVATE ${ARG_DEFINES})
	set_target_properties(${target} PROPERTIES
		OUTPUT_NAME ${name} RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/guest-linux)
	target_link_options(${target} PRIVATE -nostdlib -nostartfiles -static -no-pie -s
		-Wl,--build-id=none ${CAIRN_MUSL_LIB}/crt1.o ${CAIRN_MUSL_LIB}/crti.o)
	target_link_libraries(${target} PRIVATE ${ARG_LIBS}
		-Wl,--start-group ${CAIRN_MUSL_LIB}/libc.a ${CAIRN_LIBGCC} -Wl,--end-group
		${CAIRN_MUSL_LIB}/crtn.o)
	cairn_product(guest-linux/${name} ${target})
endfunction()

# A program of cmocka tests for the host; `./check --stage unit` runs every one.
function(cairn_host_test name)
	_cairn_arguments(${ARGN})
	if(NOT CAIRN_HOST_TESTS)
		return()
	endif()
	set(target test-${name})
	add_executable(${target} ${ARG_SOURCES})
	cairn_host_flags(${target})
	target_include_directories(${target} PRIVATE ${ARG_INCLUDES})
	target_compile_definitions(${target} PRIVATE ${ARG_DEFINES})
	set_target_properties(${target} PROPERTIES
		OUTPUT_NAME ${name} RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
	target_link_libraries(${target} PRIVATE ${ARG_LIBS} cmocka)
	set_property(GLOBAL APPEND PROPERTY CAIRN_TESTS tests/${name})
endfunction()
