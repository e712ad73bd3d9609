# Compile through ccache where it is installed and nothing else was asked for.
find_program(POISE_CCACHE ccache)
mark_as_advanced(POISE_CCACHE)
if(POISE_CCACHE)
  foreach(lang C CXX CUDA)
    if(NOT DEFINED CMAKE_${lang}_COMPILER_LAUNCHER AND NOT DEFINED ENV{CMAKE_${lang}_COMPILER_LAUNCHER})
      # Generated files (llama.cpp's unity sources) have other paths in every build tree: with the base folder one
      # tree's objects serve all the others.
      set(CMAKE_${lang}_COMPILER_LAUNCHER
        ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_BINARY_DIR} ${POISE_CCACHE})
    endif()
  endforeach()
endif()
