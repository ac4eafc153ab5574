package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/transports/trust"
)

type certsCmd struct {
	Dev certsDevCmd `cmd:"" help:"Make an authority for development, and certificates that it signs."`
}

type certsDevCmd struct {
	Dir string `help:"Where to keep them. The default is where services of this machine look for the authority." placeholder:"DIR"`

	Host []string `default:"localhost,127.0.0.1,::1" help:"Names and addresses of the gateway (${default})." placeholder:"NAME[,NAME]"`

	Service []string `help:"Services that get a certificate, too." placeholder:"NAME[,NAME]"`
}

// Run makes what is missing, issues certificates anew, and prints the URLs that use them.
func (c *certsDevCmd) Run(s streams) error {
	for _, name := range append(append([]string(nil), c.Host...), c.Service...) {
		if name == "" || strings.ContainsAny(name, "/\\ \t") {
			return usagef("%q is no name for a certificate", name)
		}
	}
	for _, name := range c.Service {
		if name == "gateway" || name == "ca" {
			return usagef("--service %s would overwrite another file of the folder", name)
		}
	}
	if len(c.Host) == 0 {
		return usagef("--host is empty, expected a name of the gateway")
	}
	dir := c.Dir
	if dir == "" {
		own, err := trust.Folder()
		if err != nil {
			return fmt.Errorf("%w: %w", gateway.ErrConfig, err)
		}
		dir = own
	}
	authority, err := trust.OpenAuthority(dir)
	if err != nil {
		return err
	}
	ca := filepath.Join(dir, "ca.pem")
	cert, key, err := authority.IssueFiles(dir, "gateway", c.Host...)
	if err != nil {
		return err
	}
	listen := fmt.Sprintf("tls://%s?cert=%s&key=%s", hostOf(c.Host[0]), cert, key)
	if len(c.Service) > 0 {
		listen += "&clients=" + ca
	}
	var text strings.Builder
	_, _ = fmt.Fprintf(&text, "authority  %s\ngateway    stella-gateway run --listen '%s'\n", ca, listen)
	for _, service := range c.Service {
		cert, key, err := authority.IssueFiles(dir, service, service)
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(&text, "%-10s STELLA_GATEWAYS='tls://%s?ca=%s&cert=%s&key=%s'\n", service, hostOf(c.Host[0]), ca, cert, key)
	}
	return s.printf("%s", text.String())
}

// hostOf is a name as a URL has it.
func hostOf(name string) string {
	if strings.Contains(name, ":") {
		return "[" + name + "]"
	}
	return name
}
