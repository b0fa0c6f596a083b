// The rows of Go's golang.org/x/time/rate: one limiter in memory, used as its documentation shows.
//
//	GO111MODULE=off GOPATH=/usr/share/gocode go build -o rate main.go && ./rate allow 0.5
package main

import (
	"fmt"
	"os"
	"runtime"
	"sort"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

const batch = 1000

func allow(limiter *rate.Limiter) {
	for i := 0; i < batch; i++ {
		if !limiter.Allow() {
			panic("refused")
		}
	}
}

// reserve takes and gives back, the nearest that the package has to acquire and complete.
func reserve(limiter *rate.Limiter) {
	for i := 0; i < batch; i++ {
		reservation := limiter.Reserve()
		if !reservation.OK() {
			panic("refused")
		}
		reservation.Cancel()
	}
}

// measure gives the fastest tenth's slowest batch, as the other programs do.
func measure(seconds float64, call func()) float64 {
	for end := time.Now().Add(time.Duration(seconds * 1e8)); time.Now().Before(end); {
		call()
	}
	samples := make([]float64, 0, 1<<18)
	last := time.Now()
	end := last.Add(time.Duration(seconds * 1e9))
	for last.Before(end) && len(samples) < cap(samples) {
		call()
		now := time.Now()
		samples = append(samples, float64(now.Sub(last).Nanoseconds())/batch)
		last = now
	}
	sort.Float64s(samples)
	return samples[len(samples)/10]
}

func measureOnTwo(seconds float64, call func()) float64 {
	runtime.GOMAXPROCS(2)
	var phase int32
	var calls int64
	var group sync.WaitGroup
	for i := 0; i < 2; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for atomic.LoadInt32(&phase) == 0 {
				call()
			}
			var own int64
			for atomic.LoadInt32(&phase) == 1 {
				call()
				own += batch
			}
			atomic.AddInt64(&calls, own)
		}()
	}
	time.Sleep(time.Duration(seconds * 1e8))
	start := time.Now()
	atomic.StoreInt32(&phase, 1)
	time.Sleep(time.Duration(seconds * 1e9))
	atomic.StoreInt32(&phase, 2)
	elapsed := time.Since(start)
	group.Wait()
	return float64(elapsed.Nanoseconds()) / float64(calls)
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: rate ROW SECONDS")
		os.Exit(2)
	}
	seconds, err := strconv.ParseFloat(os.Args[2], 64)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	limiter := rate.NewLimiter(1e9, 1e9)
	var nanoseconds float64
	switch os.Args[1] {
	case "allow":
		nanoseconds = measure(seconds, func() { allow(limiter) })
	case "reserve":
		nanoseconds = measure(seconds, func() { reserve(limiter) })
	case "allow-two-threads":
		nanoseconds = measureOnTwo(seconds, func() { allow(limiter) })
	default:
		fmt.Fprintf(os.Stderr, "rate: no row %q\n", os.Args[1])
		os.Exit(2)
	}
	fmt.Printf("{\"ns\": %.3f}\n", nanoseconds)
}
