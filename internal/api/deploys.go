package api

import (
	"context"

	"github.com/tiny-forge/docker-watcher/internal/deploy"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

type deployJSON struct {
	ID          string `json:"id"`
	Kind        string `json:"kind" enum:"deploy,rollback,adoption" doc:"adoption: a container that ran already was taken over"`
	ProjectID   string `json:"project_id"`
	StageID     string `json:"stage_id"`
	HostID      string `json:"host_id"`
	InstanceID  string `json:"instance_id,omitempty" doc:"the new one; of a rollback that is queued the one to go back to"`
	Replaces    string `json:"replaces,omitempty" doc:"the instance that served when it began"`
	Image       string `json:"image"`
	ImageTag    string `json:"image_tag"`
	Digest      string `json:"digest,omitempty"`
	State       string `json:"state" enum:"queued,pulling,starting,checking,switching,draining,done,failed,cancelled,superseded"`
	Error       string `json:"error,omitempty" doc:"why it did not come to serve"`
	Actor       string `json:"actor"`
	CancelledBy string `json:"cancelled_by,omitempty" doc:"who asked for its end"`
	CreatedAt   stamp  `json:"created_at"`
	EndedAt     moment `json:"ended_at"`
}

func deployOf(d store.Deploy) deployJSON {
	return deployJSON{
		ID: d.ID, Kind: string(d.Kind), ProjectID: d.ProjectID, StageID: d.StageID, HostID: d.HostID, InstanceID: d.InstanceID, Replaces: d.Replaces,
		Image: d.Image, ImageTag: d.ImageTag, Digest: d.Digest, State: string(d.State), Error: d.Error, Actor: d.Actor, CancelledBy: d.CancelledBy,
		CreatedAt: stamp(d.CreatedAt), EndedAt: moment(d.EndedAt),
	}
}

type startDeployIn struct {
	ByID
	Body struct {
		Tag   string    `json:"tag" minLength:"1" maxLength:"128" pattern:"^(sha256:[0-9a-f]{64}|[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})$" doc:"a tag, or a digest"`
		Image string    `json:"image,omitempty" maxLength:"255" doc:"repository; absent: the project's"`
		Spec  *specJSON `json:"spec,omitempty" doc:"absent: the stage's"`
	}
}

// startDeploy queues a deploy. A variable of its spec without a value takes the stage's.
func (s *server) startDeploy(ctx context.Context, in *startDeployIn) (*out[deployJSON], error) {
	st, err := s.d.DB.Stage(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if in.Body.Image != "" {
		if err := checkRepository(in.Body.Image); err != nil {
			return nil, err
		}
	}
	if v := visitOf(ctx); (in.Body.Image != "" || in.Body.Spec != nil) && !v.powers.role.Covers(operator) {
		// By another image or spec a deploy reaches volumes, networks and images of other projects.
		const why = "to deploy another image or spec than the stage's, in all projects"
		return nil, s.forbidden(v, "start-deploy", operator, why)
	}
	request := deploy.Request{StageID: st.ID, Tag: in.Body.Tag, Image: in.Body.Image, Actor: actorOf(ctx)}
	o := override{given: st.Spec, stage: st.Spec}
	if in.Body.Image != "" {
		p, err := s.d.DB.Project(ctx, st.ProjectID)
		if err != nil {
			return nil, err
		}
		o.otherImage = in.Body.Image != p.Image
	}
	if in.Body.Spec != nil {
		if o.given, err = in.Body.Spec.read(st.Spec); err != nil {
			return nil, err
		}
		request.Spec = &o.given
	}
	if in.Body.Spec != nil || in.Body.Image != "" {
		if err := s.mayOverride(ctx, o); err != nil {
			return nil, err
		}
	}
	d, err := s.d.Deployer.Start(ctx, request)
	if err != nil {
		return nil, err
	}
	return answer(deployOf(d)), nil
}

func (s *server) getDeploy(ctx context.Context, in *ByID) (*out[deployJSON], error) {
	d, err := s.d.DB.Deploy(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return answer(deployOf(d)), nil
}

type listDeploysIn struct {
	ByID
	PageQuery
}

func (s *server) listDeploys(ctx context.Context, in *listDeploysIn) (*out[list[deployJSON]], error) {
	st, err := s.d.DB.Stage(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	deploys, next, err := s.d.DB.Deploys(ctx, st.ProjectID, st.ID, in.page())
	if err != nil {
		return nil, err
	}
	return answer(listOf(deploys, next, deployOf)), nil
}

// cancelDeploy asks a deploy to end. One that is under way ends soon after; its state says when.
func (s *server) cancelDeploy(ctx context.Context, in *ByID) (*out[deployJSON], error) {
	d, err := s.d.Deployer.Cancel(ctx, in.ID, actorOf(ctx))
	if err != nil {
		return nil, err
	}
	return answer(deployOf(d)), nil
}

type rollbackIn struct {
	ByID
	Body struct {
		To string `json:"to,omitempty" maxLength:"200" doc:"the tag, the digest, the name or the id of a former instance; absent: the kept one that led up to what serves"`
	}
}

// rollback queues a deploy that brings a stage back to a former instance. One whose spec gives power over the host that the stage's
// own does not give needs an admin, whoever deployed it then.
func (s *server) rollback(ctx context.Context, in *rollbackIn) (*out[deployJSON], error) {
	st, err := s.d.DB.Stage(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	d, err := s.d.Deployer.Rollback(ctx, deploy.RollbackRequest{
		StageID: st.ID, To: in.Body.To, Actor: actorOf(ctx),
		Allow: func(spec store.Spec) error { return s.mayUse(ctx, spec, st.Spec) },
	})
	if err != nil {
		return nil, err
	}
	return answer(deployOf(d)), nil
}
