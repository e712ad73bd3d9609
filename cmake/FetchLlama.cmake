# Sets POISE_LLAMA_DIR to a llama.cpp source tree.
#
# POISE_LLAMA_SOURCE_DIR wins when it is given. Otherwise the tree comes from the source distribution of
# llama-cpp-python on the Python package index, which carries it whole: pip downloads the file, its SHA-256 is
# checked, and the parts that are compiled are unpacked into the cache, so that the next build tree downloads nothing.
# The cache is POISE_CACHE_DIR (CMake or environment), else $XDG_CACHE_HOME/poise, else ~/.cache/poise.

set(POISE_LLAMA_SDIST_VERSION 0.3.36)
set(POISE_LLAMA_SDIST_SHA256 832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e)
set(poise_llama_sdist llama_cpp_python-${POISE_LLAMA_SDIST_VERSION})

if(POISE_LLAMA_SOURCE_DIR)
  get_filename_component(POISE_LLAMA_DIR "${POISE_LLAMA_SOURCE_DIR}" REALPATH)
  if(NOT EXISTS "${POISE_LLAMA_DIR}/include/llama.h")
    message(FATAL_ERROR "POISE_LLAMA_SOURCE_DIR=${POISE_LLAMA_SOURCE_DIR} has no include/llama.h. "
      "Point it at the root of a llama.cpp checkout, or unset it to use the pinned source.")
  endif()
  message(STATUS "llama.cpp: ${POISE_LLAMA_DIR} (POISE_LLAMA_SOURCE_DIR)")
  return()
endif()

function(poise_cache_dir out)
  if(POISE_CACHE_DIR)
    set(dir "${POISE_CACHE_DIR}")
  elseif(NOT "$ENV{POISE_CACHE_DIR}" STREQUAL "")
    set(dir "$ENV{POISE_CACHE_DIR}")
  elseif(NOT "$ENV{XDG_CACHE_HOME}" STREQUAL "")
    set(dir "$ENV{XDG_CACHE_HOME}/poise")
  elseif(NOT "$ENV{HOME}" STREQUAL "")
    set(dir "$ENV{HOME}/.cache/poise")
  else()
    set(dir "${CMAKE_BINARY_DIR}/cache")
  endif()
  file(MAKE_DIRECTORY "${dir}")
  get_filename_component(dir "${dir}" REALPATH)
  set(${out} "${dir}" PARENT_SCOPE)
endfunction()

# Downloads the source distribution into `dir`. Stops with a remedy where that fails.
function(poise_download_sdist dir)
  if(NOT Python_EXECUTABLE)
    find_package(Python 3.10 COMPONENTS Interpreter REQUIRED)
  endif()
  set(remedy "Or unpack a llama.cpp source tree yourself and configure with -DPOISE_LLAMA_SOURCE_DIR=<its root> "
    "(for pip: -C cmake.define.POISE_LLAMA_SOURCE_DIR=<its root>).")
  execute_process(COMMAND "${Python_EXECUTABLE}" -m pip --version RESULT_VARIABLE rc OUTPUT_QUIET ERROR_QUIET)
  if(NOT rc EQUAL 0)
    message(FATAL_ERROR "llama.cpp's source is fetched with pip, but ${Python_EXECUTABLE} has no pip. "
      "Install it (${Python_EXECUTABLE} -m ensurepip, or your system's python3-pip), "
      "or choose another interpreter with -DPython_EXECUTABLE=<path>. " ${remedy})
  endif()
  # pip asks the package's build backend for its metadata; without the backend here, pip isolates the build and
  # brings the backend itself.
  execute_process(COMMAND "${Python_EXECUTABLE}" -c "import scikit_build_core" RESULT_VARIABLE rc
                  OUTPUT_QUIET ERROR_QUIET)
  set(isolation)
  if(rc EQUAL 0)
    set(isolation --no-build-isolation)
  endif()
  message(STATUS "llama.cpp: downloading ${poise_llama_sdist}.tar.gz (77 MB) with pip")
  execute_process(
    COMMAND "${Python_EXECUTABLE}" -m pip download --quiet --disable-pip-version-check --no-deps ${isolation}
            --no-binary=llama-cpp-python --dest "${dir}" llama-cpp-python==${POISE_LLAMA_SDIST_VERSION}
    RESULT_VARIABLE rc OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT rc EQUAL 0)
    message(FATAL_ERROR "pip could not download llama-cpp-python ${POISE_LLAMA_SDIST_VERSION}; it said:\n${output}\n"
      "Is there a network, and does pip reach its package index? " ${remedy})
  endif()
endfunction()

poise_cache_dir(poise_cache)
string(SUBSTRING ${POISE_LLAMA_SDIST_SHA256} 0 12 poise_llama_key)
set(POISE_LLAMA_DIR "${poise_cache}/llama.cpp-${POISE_LLAMA_SDIST_VERSION}-${poise_llama_key}")

if(NOT EXISTS "${POISE_LLAMA_DIR}/scripts/ui-assets.cmake")
  # One build tree at a time fetches; the others wait and find the result.
  file(LOCK "${poise_cache}/fetch-llama.lock" TIMEOUT 900 RESULT_VARIABLE poise_lock)
  if(NOT poise_lock EQUAL 0)
    message(FATAL_ERROR "another build holds ${poise_cache}/fetch-llama.lock (${poise_lock}). "
      "Wait for it, or set POISE_CACHE_DIR to another folder.")
  endif()
  if(NOT EXISTS "${POISE_LLAMA_DIR}/scripts/ui-assets.cmake")
    set(poise_tmp "${POISE_LLAMA_DIR}.tmp")
    file(REMOVE_RECURSE "${poise_tmp}" "${POISE_LLAMA_DIR}")
    file(MAKE_DIRECTORY "${poise_tmp}")
    poise_download_sdist("${poise_tmp}")

    set(poise_file "${poise_tmp}/${poise_llama_sdist}.tar.gz")
    file(SHA256 "${poise_file}" poise_got)
    if(NOT poise_got STREQUAL POISE_LLAMA_SDIST_SHA256)
      file(REMOVE_RECURSE "${poise_tmp}")
      message(FATAL_ERROR "${poise_llama_sdist}.tar.gz has SHA-256\n  ${poise_got}\nbut the pinned one is\n"
        "  ${POISE_LLAMA_SDIST_SHA256}\nThe package index served another file. Nothing of it was used. "
        "Check the index that pip is configured with, or set POISE_LLAMA_SOURCE_DIR to a source that you trust.")
    endif()

    set(poise_root ${poise_llama_sdist}/vendor/llama.cpp)
    set(poise_parts CMakeLists.txt LICENSE licenses cmake common ggml gguf-py include models scripts src tools vendor)
    list(TRANSFORM poise_parts PREPEND ${poise_root}/)
    file(ARCHIVE_EXTRACT INPUT "${poise_file}" DESTINATION "${poise_tmp}" PATTERNS ${poise_parts})
    file(RENAME "${poise_tmp}/${poise_root}" "${POISE_LLAMA_DIR}")
    file(REMOVE_RECURSE "${poise_tmp}")
  endif()
  file(LOCK "${poise_cache}/fetch-llama.lock" RELEASE)
endif()
message(STATUS "llama.cpp: ${POISE_LLAMA_DIR}")
