//go:build !nobrokers

package conformance_test

import (
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/brokertest"
	"github.com/stella-ops/router/transports/conformance"
	_ "github.com/stella-ops/router/transports/rabbitmq"
	_ "github.com/stella-ops/router/transports/valkey"
)

func init() {
	var rabbit *brokertest.RabbitMQServer
	known = append(known,
		transport{name: "rabbitmq", Transport: conformance.Transport{Listen: func(*testing.T) string {
			return rabbit.URL("", "prefix=conformance"+strconv.FormatInt(names.Add(1), 10))
		}}, begin: func(t *testing.T) {
			t.Helper()
			rabbit = brokertest.RabbitMQ(t) // which takes seconds: one server for all cases, each with names of its own
		}},
		transport{name: "valkey", Transport: conformance.Transport{Listen: func(t *testing.T) string {
			t.Helper()
			return "valkey://" + brokertest.Valkey(t).Addr
		}}},
	)
	complete = true
}

func TestQueues(t *testing.T) {
	t.Run("rabbitmq", func(t *testing.T) {
		server, prefix := brokertest.RabbitMQ(t), ""
		conformance.RunQueues(t, conformance.QueueTransport{
			URL: func(*testing.T) string {
				prefix = "queues" + strconv.FormatInt(names.Add(1), 10)
				return server.URL("", "prefix="+prefix)
			},
			// At once: but what ends the connections takes a second to begin.
			Redelivery: 4 * time.Second,
			// A server that is killed half a second after it has made a quorum queue, or the first stream, forgets both, and what
			// it has confirmed for them: it writes down later that they are there (Ra's names.dets, in RabbitMQ 3.10).
			Settling: time.Second,
			Restart:  func(*testing.T) { server.Restart() },
			Lose:     func(*testing.T) { server.Ctl("close_all_connections", "the suite's") },
			Poison: func(t *testing.T, name transports.QueueName, raw []byte) {
				t.Helper()
				c, err := amqp.Dial(strings.Replace(server.URL("", ""), "rabbitmq://", "amqp://", 1))
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = c.Close() }()
				ch, err := c.Channel()
				if err == nil {
					key := prefix + ".queue." + url.QueryEscape(name.Service) + "." + url.QueryEscape(name.Endpoint)
					err = ch.Publish(prefix+".jobs."+url.QueryEscape(name.Service), key, true, false, amqp.Publishing{Body: raw})
				}
				if err == nil {
					err = ch.Close() // by then the server has it
				}
				if err != nil {
					t.Fatal(err)
				}
			},
		})
	})
	t.Run("valkey", func(t *testing.T) {
		var server *brokertest.Server
		conformance.RunQueues(t, conformance.QueueTransport{
			URL: func(t *testing.T) string {
				t.Helper()
				server = brokertest.DurableValkey(t)
				return "valkey://" + server.Addr
			},
			Redelivery: 3 * conformance.QueueLease,
			Restart:    func(*testing.T) { server.Restart() },
			Lose:       func(*testing.T) { server.Command("CLIENT", "KILL", "TYPE", "normal") },
			Poison: func(_ *testing.T, name transports.QueueName, raw []byte) {
				key := "{stella}:queue:" + url.QueryEscape(name.Service) + ":" + url.QueryEscape(name.Endpoint)
				server.Command("XADD", key, "*", "j", string(raw))
			},
		})
	})
}
