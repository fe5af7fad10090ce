package deploy

import (
	"context"
	"sync"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// job is one deploy that this process carries out.
type job struct {
	deployID string
	stageID  string
	hostID   string
	cancel   context.CancelFunc // nil until it has begun
}

// crew knows the jobs under way: one a stage, and what is pulled ahead for those that wait.
type crew struct {
	mu     sync.Mutex
	jobs   map[string]*job               // by stage
	aheads map[string]context.CancelFunc // by deploy
}

// take makes a job of each stage that has an open deploy and no job yet.
func (c *crew) take(open []store.Deploy) []*job {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.jobs == nil {
		c.jobs = map[string]*job{}
	}
	var taken []*job
	for _, dep := range turns(open) {
		if c.jobs[dep.StageID] == nil {
			j := &job{deployID: dep.ID, stageID: dep.StageID, hostID: dep.HostID}
			c.jobs[dep.StageID] = j
			c.endAhead(dep.ID)
			taken = append(taken, j)
		}
	}
	return taken
}

// begin returns the context of a job: it ends when the deploy is cancelled. What was cancelled before, the row says.
func (c *crew) begin(ctx context.Context, j *job) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	j.cancel = cancel
	return ctx, cancel
}

func (c *crew) leave(j *job) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.jobs, j.stageID)
}

// cancel ends the job of a deploy, if it has begun.
func (c *crew) cancel(deployID string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, j := range c.jobs {
		if j.deployID == deployID && j.cancel != nil {
			j.cancel()
		}
	}
	c.endAhead(deployID)
}

// ahead returns the context of what is pulled for a deploy that waits: it ends when its turn comes, and when it is cancelled.
func (c *crew) ahead(ctx context.Context, deployID string) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.aheads == nil {
		c.aheads = map[string]context.CancelFunc{}
	}
	c.aheads[deployID] = cancel
	return ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.endAhead(deployID)
	}
}

func (c *crew) endAhead(deployID string) {
	if cancel := c.aheads[deployID]; cancel != nil {
		cancel()
		delete(c.aheads, deployID)
	}
}

// turns picks, of each stage, the deploy whose turn it is: the one under way, else the one that waits. Open is in the
// order in which they were asked for, and so is the answer.
func turns(open []store.Deploy) []store.Deploy {
	first := map[string]int{}
	var list []store.Deploy
	for _, dep := range open {
		at, known := first[dep.StageID]
		switch {
		case !known:
			first[dep.StageID] = len(list)
			list = append(list, dep)
		case list[at].State == store.DeployQueued && dep.State != store.DeployQueued:
			list[at] = dep
		}
	}
	return list
}

// places are the slots of hosts, each with its own, so that one that hangs holds up nobody else.
type places map[string]chan struct{}

// of are the slots of a host, so many.
func (p places) of(hostID string, size int) chan struct{} {
	if p[hostID] == nil {
		p[hostID] = make(chan struct{}, size)
	}
	return p[hostID]
}
