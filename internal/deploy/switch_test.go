package deploy

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// setDrain lets the former ones of the stage drain.
func (r *rig) setDrain(t *testing.T, d time.Duration) {
	t.Helper()
	storetest.Update(t, r.db, func(ctx context.Context, tx *store.Tx) error {
		stage, err := tx.Stage(ctx, r.stage.ID)
		if err != nil {
			return err
		}
		stage.Drain = d
		return tx.UpdateStage(ctx, stage)
	})
}

func TestSwitchComesBetweenHealthyAndStop(t *testing.T) {
	bubble(t, store.Spec{}, func(t *testing.T, r *rig) {
		r.setDrain(t, 30*time.Second)
		r.publish("1.0", "1.1")
		told := make(chan string, 10)
		r.SwitchBy(func(_ context.Context, stage store.Stage, to store.InstanceView) error {
			if stage.ID != r.stage.ID || to.Status != store.StatusRunning || r.state(to) != "running" {
				t.Errorf("switched to %s, which is %s", to.Name, r.state(to))
			}
			told <- to.ImageTag
			return nil
		})
		r.run()
		former := r.deploy("1.0")
		first := <-told
		d := r.begin("1.1")
		second, switched := <-told, time.Now()
		time.Sleep(20 * time.Second)
		if now := r.deployRow(d.ID); now.State != store.DeployDraining || r.state(former) != "running" {
			t.Errorf("20 s after the switch the deploy is %s and the former %s: it was to drain for 30 s", now.State, r.state(former))
		}
		d = r.end(d.ID)
		if first != "1.0" || second != "1.1" || len(told) > 0 {
			t.Errorf("it switched to %s, then to %s, then %d times more", first, second, len(told))
		}
		if took := d.EndedAt.Sub(switched); took < 30*time.Second || took > 35*time.Second {
			t.Errorf("it ended %s after the switch", took)
		}
		r.expectServing(t, d.InstanceID)
	})
}

func TestNothingToDrainIsNotWaitedFor(t *testing.T) {
	bubble(t, store.Spec{}, func(t *testing.T, r *rig) {
		r.setDrain(t, 10*time.Minute)
		r.publish("1.0")
		r.run()
		r.publish("1.1")
		for _, tag := range []string{"1.0", "1.1"} {
			began := time.Now()
			v := r.deploy(tag)
			if took := time.Since(began); took > time.Minute {
				t.Errorf("the deploy of %s took %s", tag, took)
			}
			r.pretend.Container(v.ContainerID).Exit(7) // behind our back
		}
	})
}

func TestSwitchThatFailsLeavesWhatServed(t *testing.T) {
	for name, spec := range map[string]store.Spec{"side by side": {}, "the former made room": {Ports: []store.Port{{Container: 80, Host: 8099}}}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, spec, func(t *testing.T, r *rig) {
				r.publish("1.0", "1.1")
				told := make(chan string, 10)
				r.SwitchBy(func(_ context.Context, _ store.Stage, to store.InstanceView) error {
					told <- to.ImageTag
					if to.ImageTag == "1.1" {
						return errors.New("the proxy refuses the table")
					}
					return nil
				})
				r.run()
				former := r.deploy("1.0")
				d := r.end(r.begin("1.1").ID)
				if d.State != store.DeployFailed || !strings.Contains(d.Error, "the proxy refuses the table") {
					t.Errorf("it is %s: %s", d.State, d.Error)
				}
				if a, b, c := <-told, <-told, <-told; a != "1.0" || b != "1.1" || c != "1.0" || len(told) > 0 {
					t.Errorf("it switched to %s, %s and %s", a, b, c)
				}
				r.expectServing(t, former.ID)
				if v := r.instance(d.InstanceID); v.Status != store.StatusStopped || v.Class != store.ClassFailed || v.Intended != store.IntendedStopped {
					t.Errorf("the new one is %s (%s), intended %s", v.Status, v.Class, v.Intended)
				}
			})
		})
	}
}

func TestShutdownDoesNotCutASwitchOff(t *testing.T) {
	bubble(t, store.Spec{}, func(t *testing.T, r *rig) {
		r.publish("1.0", "1.1")
		r.setDrain(t, time.Minute)
		began := make(chan struct{}, 2)
		r.SwitchBy(func(ctx context.Context, _ store.Stage, _ store.InstanceView) error {
			began <- struct{}{}
			select {
			case <-time.After(5 * time.Second):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		r.run()
		former := r.deploy("1.0")
		<-began
		d := r.begin("1.1")
		<-began
		r.stop()
		if now := r.deployRow(d.ID); now.State != store.DeployDraining || r.state(former) != "running" {
			t.Errorf("after the shutdown it is %s and the former %s", now.State, r.state(former))
		}
		r.run()
		if d = r.end(d.ID); d.State != store.DeployDone {
			t.Errorf("it is %s: %s", d.State, d.Error)
		}
		r.expectServing(t, d.InstanceID)
	})
}

// Once the routes lead to the new one it is never stopped, also when that cannot be written down: the deploy stays open.
func TestSwitchThatCannotBeWrittenDown(t *testing.T) {
	bubble(t, store.Spec{}, func(t *testing.T, r *rig) {
		r.publish("1.0", "1.1")
		taken := make(chan store.InstanceView, 10)
		r.SwitchBy(func(ctx context.Context, _ store.Stage, to store.InstanceView) error {
			if to.ImageTag == "1.1" && len(taken) == 0 {
				taken <- to
				return r.db.Update(ctx, func(tx *store.Tx) error { // somebody else's row for a while
					return tx.BeginRemoval(ctx, store.Removal{InstanceID: to.ID, HostID: to.HostID, ContainerID: to.ContainerID, Former: to.Status}, to.Revision)
				})
			}
			return nil
		})
		r.run()
		former := r.deploy("1.0")
		d := r.begin("1.1")
		time.Sleep(25 * time.Second)
		if now := r.deployRow(d.ID); now.State != store.DeploySwitching || r.state(r.instance(d.InstanceID)) != "running" || r.state(former) != "running" {
			t.Fatalf("it is %s; the new one is %s, the former %s", now.State, r.state(r.instance(d.InstanceID)), r.state(former))
		}
		storetest.Update(t, r.db, func(ctx context.Context, tx *store.Tx) error { return tx.TakeBackRemoval(ctx, d.InstanceID) })
		if d = r.end(d.ID); d.State != store.DeployDone {
			t.Errorf("it is %s: %s", d.State, d.Error)
		}
		r.expectServing(t, d.InstanceID)
	})
}
