# libl2o, shared and static, and its packaging: `cmake --install`, find_package(l2o), pkg-config, and
# a .deb by `cpack -G DEB`.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(floors kernels_cpu core backend data optimizer optimizee meta comm engine capi)
# Dependencies of programs that link the static library.
set(L2O_STATIC_NEEDS hwy fmt tomlplusplus xxhash z pthread stdc++ m)
if(L2O_CUDA)
  list(APPEND floors kernels_cuda)
  list(APPEND L2O_STATIC_NEEDS ${CUDA_cudart_static_LIBRARY} rt dl)
endif()

# l2o_public_library(NAME): settings common to the shared and the static library.
function(l2o_public_library name)
  target_include_directories(${name} INTERFACE
                             $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/host/include>
                             $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  set_target_properties(${name} PROPERTIES OUTPUT_NAME l2o LINKER_LANGUAGE CXX
                        LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib
                        ARCHIVE_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
endfunction()

add_library(l2o SHARED $<TARGET_OBJECTS:l2o_capi>)
l2o_public_library(l2o)
target_link_libraries(l2o PRIVATE l2o_engine)
set(map ${PROJECT_SOURCE_DIR}/cmake/libl2o.map)
target_link_options(l2o PRIVATE -Wl,--version-script=${map} -Wl,--gc-sections)
if(NOT L2O_SANITIZE)  # the program provides the sanitizer's functions
  target_link_options(l2o PRIVATE -Wl,-z,defs)
endif()
set_target_properties(l2o PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}
                                     LINK_DEPENDS ${map})

add_library(l2o_static STATIC)
foreach(floor ${floors})
  target_sources(l2o_static PRIVATE $<TARGET_OBJECTS:l2o_${floor}>)
endforeach()
l2o_public_library(l2o_static)
target_link_libraries(l2o_static INTERFACE ${L2O_STATIC_NEEDS})

add_library(l2o::l2o ALIAS l2o)
add_library(l2o::l2o_static ALIAS l2o_static)

# ------------------------------------------------------------------------------ installed tree
install(TARGETS l2o l2o_static EXPORT l2o-targets
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS l2o_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES host/include/l2o/l2o.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/l2o)
install(DIRECTORY models/ DESTINATION ${CMAKE_INSTALL_DATADIR}/l2o/models
        FILES_MATCHING PATTERN "*.safetensors")
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME copyright)

set(cmake_package ${CMAKE_INSTALL_LIBDIR}/cmake/l2o)
install(EXPORT l2o-targets NAMESPACE l2o:: DESTINATION ${cmake_package})
configure_package_config_file(cmake/l2o-config.cmake.in ${PROJECT_BINARY_DIR}/package/l2o-config.cmake
                              INSTALL_DESTINATION ${cmake_package})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/package/l2o-config-version.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/package/l2o-config.cmake
              ${PROJECT_BINARY_DIR}/package/l2o-config-version.cmake
        DESTINATION ${cmake_package})

# Relative to the .pc file itself, so that the tree is relocatable.
set(pkg_config_directory ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH L2O_PC_PREFIX ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
list(TRANSFORM L2O_STATIC_NEEDS PREPEND "-l" REGEX "^[^/]" OUTPUT_VARIABLE private_libraries)
list(JOIN private_libraries " " L2O_PC_LIBS_PRIVATE)
configure_file(cmake/l2o.pc.in ${PROJECT_BINARY_DIR}/package/l2o.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/package/l2o.pc DESTINATION ${pkg_config_directory})

# -------------------------------------------------------------------------------------- package
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME l2o)
set(CPACK_PACKAGE_CONTACT "the authors of l2o <l2o@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY ${PROJECT_DESCRIPTION})
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_STRIP_FILES ON)
include(CPack)
