package torture

import (
	"fmt"
	"syscall"
	"time"
)

// kills are the scenes that stop the process.
func kills() []scene {
	if !*whole {
		return []scene{killing(2)}
	}
	return []scene{killing(20), frozen(), everything()}
}

// killing kills the gateway again and again, now and then before it is ready.
func killing(times int) scene {
	return scene{name: fmt.Sprintf("%d SIGKILLs", times), load: heavy(), within: 90 * time.Second, trouble: func(s *stage) {
		// As far away as a provider is; otherwise hardly anything is in flight.
		s.ill(fault{"provider": "apns", "latency_ms": 30}, fault{"provider": "fcm", "latency_ms": 30}, fault{"provider": "webpush", "latency_ms": 30})
		for range times {
			if s.random.IntN(4) > 0 {
				s.AwaitGateway()
			}
			s.goOn(s.between(20*time.Millisecond, 1000*time.Millisecond))
			s.kill()
		}
		s.AwaitGateway()
	}}
}

// kill kills the gateway and starts it again without waiting until it is ready.
func (s *stage) kill() {
	from := time.Now()
	s.Gateway.Kill()
	// What is in the kernel's buffers may reach a provider yet.
	s.book.cut(from, time.Now().Add(100*time.Millisecond), lanes*concurrency)
	s.LaunchGateway()
}

// frozen stops the process for seconds, as a suspended machine would.
func frozen() scene {
	return scene{name: "SIGSTOP, 3 times", load: light(), within: time.Minute, trouble: func(s *stage) {
		for range 3 {
			s.goOn(s.between(500*time.Millisecond, 1500*time.Millisecond))
			s.Gateway.Signal(syscall.SIGSTOP)
			s.goOn(s.between(2*time.Second, 6*time.Second))
			s.Gateway.Signal(syscall.SIGCONT)
		}
		s.goOn(time.Second)
	}}
}

// everything: each second another of the providers' faults, and a kill or a cut.
func everything() scene {
	return scene{name: "all of it", load: light(), within: 2 * time.Minute, relayed: true, trouble: func(s *stage) {
		plans := [][]fault{
			each(fault{"status": 503, "retry_after": 1}),
			each(fault{"status": 429, "retry_after": 1}),
			each(fault{"status": 500, "count": 20}),
			each(fault{"latency_ms": 100}),
			{{"provider": "apns", "goaway_every": 10}, {"provider": "fcm", "latency_ms": 50}},
			{{"provider": "apns", "reason": "refuse", "count": 50}, {"provider": "webpush", "status": 502, "count": 20}},
		}
		for range 3 {
			for _, i := range s.random.Perm(len(plans)) {
				s.ill(plans[i]...)
				s.goOn(s.between(300*time.Millisecond, 1200*time.Millisecond))
				if s.random.IntN(2) == 0 {
					s.kill()
				} else {
					s.sever()
				}
			}
		}
		s.AwaitGateway()
	}}
}
