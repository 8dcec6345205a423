# SPDX-License-Identifier: BSD-2-Clause
# Flags of the four kinds of code: kernel, server, guest, host test.

set(CAIRN_WARNINGS -Wall -Wextra -Wdate-time -Werror)
if(CMAKE_C_COMPILER_ID MATCHES Clang)
	list(APPEND CAIRN_WARNINGS -Wno-unused-command-line-argument)
	add_link_options(-Wno-unused-command-line-argument)
endif()
set(CAIRN_C -std=c11 -O2 -g -fno-common)
set(CAIRN_DEFINES)
if(PRESET STREQUAL "debug")
	list(APPEND CAIRN_DEFINES CAIRN_DEBUG=1)
endif()
# The same bytes whatever directories the tree and the build lie in (gdb: set substitute-path /cairn PATH). No prefix
# begins another one, for compilers differ in which of two they take.
set(CAIRN_PREFIX -fdebug-prefix-map=${CMAKE_BINARY_DIR}=/cairn/build -fmacro-prefix-map=${CMAKE_SOURCE_DIR}/=)
foreach(directory kernel libs vmm-server mca-server apps)
	list(APPEND CAIRN_PREFIX -fdebug-prefix-map=${CMAKE_SOURCE_DIR}/${directory}=/cairn/${directory})
endforeach()
list(APPEND CAIRN_C ${CAIRN_PREFIX})

# Stock Debian musl: its headers, then the compiler's own (stddef.h, immintrin.h), and no others.
set(CAIRN_MUSL_INCLUDE /usr/include/x86_64-linux-musl)
set(CAIRN_MUSL_LIB /usr/lib/x86_64-linux-musl)
execute_process(COMMAND ${CMAKE_C_COMPILER} -print-file-name=include
	OUTPUT_VARIABLE CAIRN_COMPILER_INCLUDE OUTPUT_STRIP_TRAILING_WHITESPACE)
execute_process(COMMAND ${CMAKE_C_COMPILER} -print-libgcc-file-name
	OUTPUT_VARIABLE CAIRN_LIBGCC OUTPUT_STRIP_TRAILING_WHITESPACE)
if(NOT EXISTS ${CAIRN_MUSL_LIB}/libc.a)
	message(FATAL_ERROR "no musl at ${CAIRN_MUSL_LIB}: run tools/install-deps.sh")
endif()
set(CAIRN_MUSL -nostdinc -isystem${CAIRN_MUSL_INCLUDE} -isystem${CAIRN_COMPILER_INCLUDE}
	-D_GNU_SOURCE)

# Common to code that runs on our own kernel or on none.
set(CAIRN_BARE -fno-pic -fno-pie -fno-stack-protector -fcf-protection=none
	-fno-asynchronous-unwind-tables)

function(_cairn_c_and_asm target)
	foreach(flag IN LISTS ARGN)
		target_compile_options(${target} PRIVATE "$<$<COMPILE_LANGUAGE:C>:${flag}>")
	endforeach()
	# clang 14 maps no prefixes in what it says of assembler.
	if(NOT CMAKE_C_COMPILER_ID MATCHES Clang)
		target_compile_options(${target} PRIVATE "$<$<COMPILE_LANGUAGE:ASM>:-g;${CAIRN_PREFIX}>")
	endif()
endfunction()

# Kernel code: freestanding, no red zone, general registers only, no indirect branches, linked in the top 2 GiB.
function(cairn_kernel_flags target)
	_cairn_c_and_asm(${target} -std=c11 -O2 -g -fno-common ${CAIRN_WARNINGS} ${CAIRN_BARE}
		${CAIRN_PREFIX}
		-ffreestanding -mcmodel=kernel -mno-red-zone -mgeneral-regs-only -fno-jump-tables -fstack-usage)
	target_compile_definitions(${target} PRIVATE ${CAIRN_DEFINES})
	target_include_directories(${target} PRIVATE
		${CMAKE_SOURCE_DIR}/kernel/abi ${CAIRN_GENERATED})
	target_link_options(${target} PRIVATE -nostdlib -static -no-pie
		-Wl,--build-id=none -Wl,-z,noexecstack -Wl,-z,max-page-size=4096)
	add_dependencies(${target} cairn_hypercalls)
endfunction()

# Server code: musl, static, at a fixed address.
function(cairn_server_flags target)
	_cairn_c_and_asm(${target} ${CAIRN_C} ${CAIRN_WARNINGS} ${CAIRN_BARE} ${CAIRN_MUSL}
		-mno-avx -ffunction-sections -fdata-sections -fno-omit-frame-pointer)
	target_compile_definitions(${target} PRIVATE ${CAIRN_DEFINES})
	target_include_directories(${target} PRIVATE
		${CMAKE_SOURCE_DIR}/kernel/abi ${CMAKE_SOURCE_DIR}/libs/include ${CAIRN_GENERATED})
	add_dependencies(${target} cairn_hypercalls)
endfunction()

# Code of a guest that runs on no operating system.
function(cairn_nano_flags target)
	_cairn_c_and_asm(${target} ${CAIRN_C} ${CAIRN_WARNINGS} ${CAIRN_BARE}
		-ffreestanding -mno-red-zone -mgeneral-regs-only)
	target_link_options(${target} PRIVATE -nostdlib -static -no-pie
		-Wl,--build-id=none -Wl,-z,noexecstack -Wl,-z,max-page-size=4096 -Wl,--no-warn-rwx-segments)
endfunction()

# Host code: the host's libc, cmocka, sanitizers.
function(cairn_host_flags target)
	_cairn_c_and_asm(${target} ${CAIRN_C} ${CAIRN_WARNINGS} -D_GNU_SOURCE
		-fno-omit-frame-pointer)
	target_compile_definitions(${target} PRIVATE ${CAIRN_DEFINES} CAIRN_HOST=1)
	target_include_directories(${target} PRIVATE
		${CMAKE_SOURCE_DIR}/kernel/abi ${CMAKE_SOURCE_DIR}/libs/include ${CAIRN_GENERATED})
	if(CAIRN_SANITIZE)
		_cairn_c_and_asm(${target} -fsanitize=${CAIRN_SANITIZE} -fno-sanitize-recover=all)
		target_link_options(${target} PRIVATE -fsanitize=${CAIRN_SANITIZE})
	endif()
	add_dependencies(${target} cairn_hypercalls)
endfunction()
