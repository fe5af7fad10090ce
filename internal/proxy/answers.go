package proxy

import (
	"strconv"
	"time"
)

// Answer is a page of our own as another program has to give it: what people see, and what programs do.
type Answer struct {
	Status  int
	Retry   string // seconds, of the header Retry-After; empty: none
	HTML    string
	Problem string // application/problem+json
}

func (p page) answer() Answer {
	a := Answer{Status: p.status, HTML: string(p.html()), Problem: string(p.problem())}
	if p.retry > 0 {
		a.Retry = strconv.Itoa(int(p.retry.Seconds()))
	}
	return a
}

// PagePolicy is the Content-Security-Policy of our own pages.
const PagePolicy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"

// MaintenanceAnswer says that a site is being worked on.
func MaintenanceAnswer(note string) Answer { return maintenancePage(note).answer() }

// StoppedAnswer says that what should answer does not run.
func StoppedAnswer(since time.Time) Answer { return stoppedPage(since).answer() }

// UpgradeAnswer says that connections may not change their protocol.
func UpgradeAnswer() Answer { return upgradePage.answer() }

// ErrorAnswers are the pages for what goes wrong, one a status.
func ErrorAnswers() []Answer {
	busy := awayPage
	busy.status = 503
	var out []Answer
	method := page{status: 405, title: "Method Not Allowed", text: "the methods CONNECT and TRACE are not served"}
	dots := page{status: 400, title: "Bad Request", text: "the path must not hold . or .. as a part"}
	for _, p := range []page{dots, method, loginPage, forbidPage, unknownPage, tooLargePage, awayPage, busy, latePage} {
		out = append(out, p.answer())
	}
	return out
}

// AwayAnswer says that nothing answers, without saying what is where.
func AwayAnswer() Answer { return awayPage.answer() }

// Stopped is the target that explains why nothing answers for a rule: the one that stopped last, else the first that says why.
func (r Rule) Stopped() Target { return (&entry{rule: r}).stopped() }
