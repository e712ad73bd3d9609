# Two install components: `python` is what the wheel takes, `cpp` (headers, archives, CMake package) is for C++ users:
#   cmake --install build/dev --prefix /usr/local --component cpp
# Without --component both are installed.

include(CMakePackageConfigHelpers)

get_property(POISE_LLAMA_ARCHIVES GLOBAL PROPERTY POISE_LLAMA_ARCHIVES)
get_property(POISE_LLAMA_OPENMP GLOBAL PROPERTY POISE_LLAMA_OPENMP)
set(POISE_LIB_DIR ${CMAKE_INSTALL_LIBDIR})
set(poise_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/poise)

install(TARGETS poise EXPORT poiseTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT cpp)
install(DIRECTORY cpp/include/poise DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT cpp FILES_MATCHING PATTERN "*.h")
install(EXPORT poiseTargets NAMESPACE poise:: DESTINATION ${poise_package_dir} COMPONENT cpp)
if(POISE_LLAMA)
  foreach(archive IN LISTS POISE_LLAMA_ARCHIVES)
    install(FILES $<TARGET_FILE:${archive}> DESTINATION ${CMAKE_INSTALL_LIBDIR}/poise COMPONENT cpp)
  endforeach()
  install(FILES ${POISE_LLAMA_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/licenses/poise
          RENAME LICENSE.llama.cpp COMPONENT cpp)
endif()

configure_package_config_file(cmake/poiseConfig.cmake.in ${CMAKE_BINARY_DIR}/poiseConfig.cmake
  INSTALL_DESTINATION ${poise_package_dir} PATH_VARS POISE_LIB_DIR)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/poiseConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/poiseConfig.cmake ${CMAKE_BINARY_DIR}/poiseConfigVersion.cmake
        DESTINATION ${poise_package_dir} COMPONENT cpp)

if(POISE_BUILD_PYTHON)
  if(POISE_LLAMA)
    install(FILES ${POISE_LLAMA_DIR}/LICENSE DESTINATION poise/licenses RENAME LICENSE.llama.cpp COMPONENT python)
  endif()
  # The shipped model, where it has been made.
  install(FILES engines/embedded/desk.gguf DESTINATION poise/models COMPONENT python OPTIONAL)
endif()
