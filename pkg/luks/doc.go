// Package luks makes, opens and closes LUKS2 devices by cryptsetup(8). It knows nothing of volumes but the name of
// their plaintext device.
//
// A key goes to cryptsetup's standard input and nowhere else: not into arguments, logs or errors. Devices are opened
// without the kernel's keyring, so that Resize needs no key; the volume key can be read from the device-mapper table by
// root then, who can read the memory of the processes that use the device as well.
//
// A header's label, which lies in its clear part, tells how far a device has come and whose it is: Format writes it before
// anything else is there.
//
// Changing commands are never killed: half of an open is a device without a table. A device that hangs keeps its own
// caller waiting.
package luks
