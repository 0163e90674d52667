# SPDX-License-Identifier: Apache-2.0
# Makes a C file with the table of http_private.h from the files of a folder.
# usage: cmake -DFOLDER=web -DOUTPUT=http_files_table.c -P embed.cmake
set(type_html "text/html; charset=utf-8")
set(type_js "text/javascript; charset=utf-8")
set(type_css "text/css; charset=utf-8")
set(type_svg "image/svg+xml")
set(type_png "image/png")
set(type_ico "image/x-icon")

file(GLOB files RELATIVE ${FOLDER} ${FOLDER}/*)
list(SORT files)
set(arrays "")
set(rows "")
set(number 0)
foreach(file IN LISTS files)
    string(REGEX MATCH "[^.]*$" extension ${file})
    if(NOT DEFINED type_${extension})
        message(FATAL_ERROR "${FOLDER}/${file}: no content type for .${extension}")
    endif()
    file(READ ${FOLDER}/${file} octets HEX)
    file(SHA256 ${FOLDER}/${file} hash)
    string(SUBSTRING ${hash} 0 16 hash)
    string(REGEX REPLACE "(..)" "0x\\1," octets "${octets}")
    string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "\\1\n"
           octets "${octets}")
    string(APPEND arrays "static const unsigned char file_${number}[] = {\n${octets}0};\n\n")
    string(APPEND rows "    {\"/${file}\", \"${type_${extension}}\", \"\\\"${hash}\\\"\",\n"
           "     file_${number}, sizeof file_${number} - 1},\n")
    math(EXPR number "${number} + 1")
endforeach()
file(WRITE ${OUTPUT} "/* Generated from the files of the page by embed.cmake. */\n#include \"http_private.h\"\n\n"
     "${arrays}const struct http_file http_files[] = {\n${rows}};\n"
     "const size_t http_file_count = ${number};\n")
