# find_package(couchdrop 1.0 REQUIRED) defines two targets for C and C++ (couchdrop.hpp needs C++17):
#
#   couchdrop::couchdrop  the shared library
#   couchdrop::static     the static library and the system libraries that it needs; for -static too

include("${CMAKE_CURRENT_LIST_DIR}/couchdropLocation.cmake")

set(_couchdrop_shared "${_couchdrop_libdir}/libcouchdrop.so")
set(_couchdrop_archive "${_couchdrop_libdir}/libcouchdrop.a")
foreach(_couchdrop_file IN ITEMS
    "${_couchdrop_libdir}/pkgconfig/couchdrop.pc" "${_couchdrop_shared}" "${_couchdrop_archive}"
    "${_couchdrop_includedir}/couchdrop.h" "${_couchdrop_includedir}/couchdrop.hpp")
  if(NOT EXISTS "${_couchdrop_file}")
    set(couchdrop_FOUND FALSE)
    set(couchdrop_NOT_FOUND_MESSAGE
      "libcouchdrop is not whole: ${_couchdrop_file} is missing. Install its development files again.")
    return()
  endif()
endforeach()

if(NOT TARGET couchdrop::couchdrop)
  add_library(couchdrop::couchdrop SHARED IMPORTED)
  set_target_properties(couchdrop::couchdrop PROPERTIES
    IMPORTED_LOCATION "${_couchdrop_shared}"
    INTERFACE_INCLUDE_DIRECTORIES "${_couchdrop_includedir}")

  # Leave out the libraries that the compiler adds itself: libgcc_s has no static form.
  string(REPLACE " " ";" _couchdrop_libs "${_couchdrop_libs_private}")
  list(REMOVE_ITEM _couchdrop_libs "" -lgcc_s -lc)
  add_library(couchdrop::static STATIC IMPORTED)
  set_target_properties(couchdrop::static PROPERTIES
    IMPORTED_LOCATION "${_couchdrop_archive}"
    IMPORTED_LINK_INTERFACE_LANGUAGES C
    INTERFACE_INCLUDE_DIRECTORIES "${_couchdrop_includedir}"
    INTERFACE_LINK_LIBRARIES "${_couchdrop_libs}")
endif()

foreach(_couchdrop_name IN ITEMS libdir includedir version libs_private shared archive file libs)
  unset(_couchdrop_${_couchdrop_name})
endforeach()
unset(_couchdrop_name)
