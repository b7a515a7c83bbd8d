# Finds the directories of an installed libcouchdrop. Reads couchdrop.pc, which the installation wrote.
#
# Sets _couchdrop_libdir. If couchdrop.pc exists, also sets _couchdrop_includedir, _couchdrop_version and
# _couchdrop_libs_private.

function(_couchdrop_locate)
  # This file is in LIBDIR/cmake/couchdrop, or in PREFIX/share/cmake/couchdrop if cargo-c installed it. Resolve
  # symbolic links: through /lib -> usr/lib the relative paths would be wrong.
  get_filename_component(here "${CMAKE_CURRENT_LIST_DIR}" REALPATH)
  set(libdir "${here}/../..")
  if(here MATCHES "/share/cmake/couchdrop$")
    foreach(name IN ITEMS "lib/${CMAKE_LIBRARY_ARCHITECTURE}" lib64 lib)
      if(EXISTS "${here}/../../../${name}/pkgconfig/couchdrop.pc")
        set(libdir "${here}/../../../${name}")
        break()
      endif()
    endforeach()
  endif()
  get_filename_component(libdir "${libdir}" REALPATH)
  set(_couchdrop_libdir "${libdir}" PARENT_SCOPE)
  if(NOT EXISTS "${libdir}/pkgconfig/couchdrop.pc")
    unset(_couchdrop_version PARENT_SCOPE)
    return()
  endif()

  # Lines are `variable=value` or `Field: value`. A backslash escapes a space. A value may use the variables
  # above it.
  file(STRINGS "${libdir}/pkgconfig/couchdrop.pc" lines)
  foreach(line IN LISTS lines)
    if(line MATCHES "^([A-Za-z_.]+)(=|: *)(.*)$")
      set(name "pc_${CMAKE_MATCH_1}")
      string(REPLACE "\\ " " " value "${CMAKE_MATCH_3}")
      string(REPLACE "\${" "\${pc_" value "${value}")
      string(CONFIGURE "${value}" ${name})
    endif()
  endforeach()
  set(_couchdrop_version "${pc_Version}" PARENT_SCOPE)
  set(_couchdrop_libs_private "${pc_Libs.private}" PARENT_SCOPE)

  # The whole installation may have been moved since. Use only the relative path from one directory to the
  # other.
  file(RELATIVE_PATH includedir "${pc_libdir}" "${pc_includedir}")
  get_filename_component(includedir "${libdir}/${includedir}" ABSOLUTE)
  set(_couchdrop_includedir "${includedir}" PARENT_SCOPE)
endfunction()

_couchdrop_locate()
