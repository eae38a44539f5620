/* The version, in the one place that C reads it from. spec/rock_spec.lua checks that the
 * rockspec and the change log say the same. */
#ifndef PODERO_VERSION_H
#define PODERO_VERSION_H

#define PODERO_VERSION "0.2.0"

#endif
