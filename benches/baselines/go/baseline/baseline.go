// Package baseline is the shared code of the baselines in Go. Their arguments are those of the baselines in C
// (baseline.h), with goroutines in place of threads.
package baseline

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

const (
	Username = "ada@example.com"
	Password = "correct horse battery staple"
)

// Main runs a baseline. open takes the base URL and the CA file, and returns a function that logs in. Goroutines may call
// that function at the same time.
func Main(open func(baseURL, caFile string) (func() (string, error), error)) {
	logIn, err := open(os.Args[1], os.Args[2])
	Check(err)
	logins, err := strconv.Atoi(os.Args[3])
	Check(err)
	if len(os.Args) == 4 {
		var token string
		for i := 0; i < logins; i++ {
			token, err = logIn()
			Check(err)
		}
		fmt.Println(token)
		return
	}
	count, err := strconv.Atoi(os.Args[4])
	Check(err)
	start := time.Now()
	_, err = logIn()
	Check(err)
	fmt.Println(time.Since(start).Nanoseconds())
	timeGoroutines(logIn, logins, count)
}

// Repeat prints the nanoseconds of each call of get, on average over as many calls as the third argument says.
func Repeat(get func() error) {
	calls, err := strconv.Atoi(os.Args[3])
	Check(err)
	Check(get())
	start := time.Now()
	for i := 0; i < calls; i++ {
		Check(get())
	}
	fmt.Println(float64(time.Since(start).Nanoseconds()) / float64(calls))
}

func timeGoroutines(logIn func() (string, error), logins, count int) {
	took := make([][]time.Duration, count)
	var warm, end sync.WaitGroup
	begin := make(chan struct{})
	warm.Add(count)
	end.Add(count)
	for i := range took {
		go func(i int) {
			for k := 0; k <= logins/10; k++ {
				_, err := logIn()
				Check(err)
			}
			warm.Done()
			<-begin
			took[i] = make([]time.Duration, logins)
			for k := range took[i] {
				start := time.Now()
				_, err := logIn()
				Check(err)
				took[i][k] = time.Since(start)
			}
			end.Done()
		}(i)
	}
	warm.Wait()
	wall, cpu := time.Now(), cpuTime()
	close(begin)
	end.Wait()
	cpu = cpuTime() - cpu
	output := bufio.NewWriter(os.Stdout)
	fmt.Fprintln(output, cpu.Nanoseconds())
	fmt.Fprintln(output, time.Since(wall).Nanoseconds())
	for _, times := range took {
		for _, one := range times {
			fmt.Fprintln(output, one.Nanoseconds())
		}
	}
	Check(output.Flush())
}

// cpuTime returns the CPU time of this process.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	Check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// Check ends the program if there is an error.
func Check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
