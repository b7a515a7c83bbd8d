# Decides if this version satisfies find_package(couchdrop VERSION): it must have the same major version, which is
# the version of the ABI, and be at least as new.

include("${CMAKE_CURRENT_LIST_DIR}/couchdropLocation.cmake")
if(NOT DEFINED _couchdrop_version)
  # couchdropConfig.cmake says what is missing.
  set(PACKAGE_VERSION unknown)
  set(PACKAGE_VERSION_COMPATIBLE TRUE)
  return()
endif()

set(PACKAGE_VERSION "${_couchdrop_version}")
set(PACKAGE_VERSION_COMPATIBLE FALSE)
if(PACKAGE_VERSION MATCHES "^${PACKAGE_FIND_VERSION_MAJOR}\\." AND NOT PACKAGE_VERSION VERSION_LESS PACKAGE_FIND_VERSION)
  set(PACKAGE_VERSION_COMPATIBLE TRUE)
  if(PACKAGE_VERSION VERSION_EQUAL PACKAGE_FIND_VERSION)
    set(PACKAGE_VERSION_EXACT TRUE)
  endif()
endif()
# The upper end of find_package(couchdrop 1.0...1.4) or (couchdrop 1.0...<2).
if(PACKAGE_FIND_VERSION_RANGE)
  if(PACKAGE_VERSION VERSION_GREATER PACKAGE_FIND_VERSION_MAX
      OR (PACKAGE_FIND_VERSION_RANGE_MAX STREQUAL "EXCLUDE" AND PACKAGE_VERSION VERSION_EQUAL PACKAGE_FIND_VERSION_MAX))
    set(PACKAGE_VERSION_COMPATIBLE FALSE)
  endif()
endif()
