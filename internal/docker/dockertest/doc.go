// Package dockertest is a pretend Docker engine: it speaks the Engine API over HTTP, so that what is
// tested with it goes through the same client, the same wire and the same errors as with a real one.
// The contract suite of package docker runs against it and against real engines, so that it cannot lie.
//
// # Where it listens
//
//	e := dockertest.New(t, dockertest.Options{})    // in memory: docker.Options{Endpoint: e.Endpoint(), Dial: e.Dial}
//	e := dockertest.Serve(t, dockertest.Docker29()) // on a unix socket: docker.Options{Endpoint: e.Endpoint()}
//	e := dockertest.Start(o); e.Listen(path); e.Close()
//
// New lives inside a synctest bubble: it takes its time from package time and blocks only on pipes and
// channels. Options (or Docker20, Docker28, Docker29, Podman43, Podman54) choose the shape of the API.
//
// # What is on it
//
//	e.AddImage(Image{...}); e.Publish(Image{...})   // local already; in a registry, to be pulled
//	c := e.Add(Template{Name, Image, Labels, State, Created, Started, Finished, ...}) // as if it had a history
//	c := e.Run(Template{...})                       // created and started now, with events
//	e.AddMany(10_000, Template{...}, func(i int, t *Template) {...})
//	e.Container(idOrName), e.Containers(), e.Volumes()
//
// # A container's life, as seen from outside the API (events and restart policies included)
//
//	c.Start() c.Exit(code) c.OOM() c.Kill() c.Stop() c.Pause() c.Unpause() c.Remove() c.Rename(name)
//	c.CrashLoop(n) c.Lives(Life{...}) c.SetHealth("unhealthy") c.Log("stdout", "text") c.Label(k, v)
//	c.StickRemoval() c.FailRemoval("why") c.Unstick() c.SetTimes(created, started, finished) c.Facts()
//
// A process obeys the variables of the test app: EXIT_AFTER_MS, EXIT_CODE, IGNORE_TERM, TERM_CODE, HOG_MB.
//
// # The engine's life
//
//	e.Shutdown() | e.Crash() | e.PowerCut(), later e.Boot()   // what containers look like then depends on the flavour
//	e.Restart()  e.Become(Options)  e.SetEngineID(id)  e.SetClock(offset)  e.CutEvents()  e.WithoutEvents(func())
//
// # Faults and counts
//
//	stop := e.Fail(Fault{On: `^GET /containers/json`, Skip: 1, Times: 2, Status: 500})
//	// kinds: Delay, Hang, Status+Body, Reset, LoseReply, CutBody, EmptyList
//	e.Lists() e.Inspects() e.Removes() e.Requests(`^POST `) e.ResetCalls() c.Inspects()
package dockertest
