// Package layout holds what the parts of a lab cluster agree on: its configuration, the addresses of its network
// and the files of its state directory. It starts nothing and changes nothing.
package layout
