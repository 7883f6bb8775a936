package nodeos

import (
	"fmt"
	"net"

	"github.com/berth-dev/berth/test/lab/layout"
	"github.com/berth-dev/berth/test/lab/nodeexec"
)

// startExecServer accepts commands before the rest of the node is up, so that a node which does not come up can be
// looked into.
func (n *node) startExecServer() error {
	address := fmt.Sprintf("%s:%d", layout.NodeAddress(n.boot.Index), layout.ExecPort)
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	server := nodeexec.Server{Token: n.boot.ExecToken, Env: environment(), Before: freshen}
	go func() { say("exec server ended: %v", server.Serve(listener)) }()
	return nil
}
