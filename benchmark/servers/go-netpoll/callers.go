package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"sort"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/cloudwego/netpoll"
	"github.com/cloudwego/netpoll/mux"
)

const dialTimeout = 5 * time.Second

// One of so many calls of a caller has its latency measured.
const sample = 16

// callers makes calls like those of benchmark/rpc/callers.mjs, and prints the same:
//
//	go-netpoll -call PORT CALLERS CONNECTIONS BYTES WARMUP SECONDS
//
// It sends through queues that shards of all callers share, as netpoll's own benchmark does.
type callers struct {
	queues []*mux.ShardQueue
	// Where the answers of each caller come, who has one call under way: its number is the call's.
	answers []chan netpoll.Reader
	calls   atomic.Int64
	isWarm  atomic.Bool
	hasEnd  atomic.Bool
}

func runCallers(arguments []string) {
	var numbers [6]float64
	if len(arguments) != len(numbers) {
		log.Fatal("expected PORT CALLERS CONNECTIONS BYTES WARMUP SECONDS")
	}
	for index, text := range arguments {
		number, err := strconv.ParseFloat(text, 64)
		if err != nil {
			log.Fatal(err)
		}
		numbers[index] = number
	}
	port, count, connections, size := numbers[0], int(numbers[1]), int(numbers[2]), int(numbers[3])
	all := &callers{}
	for range make([]struct{}, count) {
		all.answers = append(all.answers, make(chan netpoll.Reader, 1))
	}
	for range make([]struct{}, connections) {
		all.queues = append(all.queues, all.dial(strconv.Itoa(int(port))))
	}
	all.measure(size, secondsOf(numbers[4]), secondsOf(numbers[5]))
}

func secondsOf(number float64) time.Duration {
	return time.Duration(number * float64(time.Second))
}

func (all *callers) dial(port string) *mux.ShardQueue {
	address := net.JoinHostPort("127.0.0.1", port)
	connection, err := netpoll.DialConnection("tcp", address, dialTimeout)
	if err != nil {
		log.Fatal(err)
	}
	if err := writePreface(connection.Writer(), 0); err != nil {
		log.Fatal(err)
	}
	if _, err := connection.Reader().Next(prefaceBytes); err != nil {
		log.Fatal(err)
	}
	if err := connection.SetOnRequest(all.take); err != nil {
		log.Fatal(err)
	}
	return mux.NewShardQueue(mux.ShardSize, connection)
}

// take hands an answer to who waits for it.
func (all *callers) take(_ context.Context, connection netpoll.Connection) error {
	frame, err := sliceFrame(connection.Reader())
	if err != nil {
		return err
	}
	head, err := frame.Peek(replyHeadBytes)
	if err != nil {
		return err
	}
	all.answers[binary.BigEndian.Uint32(head[8:])] <- frame
	return nil
}

func (all *callers) measure(size int, warmup, length time.Duration) {
	latencies := make(chan []time.Duration)
	for number := range all.answers {
		go func(number int) { latencies <- all.run(number, size) }(number)
	}
	time.Sleep(warmup)
	all.calls.Store(0)
	all.isWarm.Store(true)
	fmt.Println("measuring")
	began := time.Now()
	time.Sleep(length)
	calls := all.calls.Load()
	elapsed := time.Since(began)
	fmt.Println("measured")
	all.hasEnd.Store(true)
	var sorted []time.Duration
	for range all.answers {
		sorted = append(sorted, <-latencies...)
	}
	sort.Slice(sorted, func(a, b int) bool { return sorted[a] < sorted[b] })
	quantile := func(share float64) float64 {
		return float64(sorted[int(float64(len(sorted))*share)].Nanoseconds()) / 1000
	}
	report, err := json.Marshal(map[string]float64{
		"calls":          float64(calls),
		"callsPerSecond": float64(calls) / elapsed.Seconds(),
		"p50us":          quantile(0.5),
		"p99us":          quantile(0.99),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(report))
}

// run makes one call after the other, and compares every reply with its request.
func (all *callers) run(number, size int) (latencies []time.Duration) {
	request := bytes.Repeat([]byte(fmt.Sprintf("caller %d ", number)), size/8+1)[:size]
	queue := all.queues[number%len(all.queues)]
	for count := uint32(0); !all.hasEnd.Load(); count++ {
		binary.LittleEndian.PutUint32(request, count)
		began := time.Now()
		call := netpoll.NewLinkBuffer()
		if err := writeCall(call, uint32(number), "echo", request); err != nil {
			log.Fatal(err)
		}
		if err := call.Flush(); err != nil {
			log.Fatal(err)
		}
		queue.Add(func() (netpoll.Writer, bool) { return call, false })
		frame := <-all.answers[number]
		reply, err := frame.Next(frame.Len())
		if err != nil {
			log.Fatal(err)
		}
		if !bytes.Equal(reply[replyHeadBytes:], request) {
			log.Fatalf("caller %d has got another's reply", number)
		}
		if err := frame.Release(); err != nil {
			log.Fatal(err)
		}
		if count%sample == 0 && all.isWarm.Load() {
			latencies = append(latencies, time.Since(began))
		}
		all.calls.Add(1)
	}
	return latencies
}
